//! The `zabra` program.
fn main() {}
