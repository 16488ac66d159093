//! Scenarios by hand, a name per pitfall: `pitfalls.md` tells the story of each.

mod broadcast;
mod joining;
mod sessions;
