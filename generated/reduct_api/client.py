"""Nothing is sent from here: the packages for blocking and async use do that."""
