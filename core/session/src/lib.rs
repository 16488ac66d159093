//! Who is alive: the session table and its expiry.
