//! The znodes, and who watches them.
