//! A state that knows nothing of znodes: which txns are in it.

#![allow(unused_imports, reason = "each test file uses its part")]

pub(crate) use zabra_testkit::history::*;
