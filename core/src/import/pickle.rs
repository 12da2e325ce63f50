//! A small pickle machine with a whitelist: builds data, calls nothing.
