//! Known mistakes as switches, for the tests that must find them.
//!
//! At the line where the code does what a pitfall asks, it asks [`on`] whether it shall do the wrong thing. Without the
//! feature `mutants` that is the constant `false`, and nothing of it is left in the program. With it, one [`Mutant`] at a
//! time can be planted in a thread ([`plant`]), and a test run that does not notice has a gap.
//!
//! This is no place for options: nothing that a user could want depends on it. `test/mutants` says how each one is caught;
//! why a switch in the core is acceptable is in decision record 0011.

#![forbid(unsafe_code)]

mod mutants;

pub use mutants::Mutant;

/// Whether this mistake is planted in this thread.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn on(_: Mutant) -> bool {
    false
}

/// Plants a mistake in this thread, or takes it out again. False if the switches are not built in.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn plant(_: Option<Mutant>) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use switch::{on, plant};

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Whether this mistake is planted in this thread.
    #[must_use]
    pub fn on(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }

    /// Plants a mistake in this thread, or takes it out again. False if the switches are not built in.
    #[must_use]
    pub fn plant(mutant: Option<Mutant>) -> bool {
        PLANTED.set(mutant);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_planted_alone() {
        let is_built = plant(Some(Mutant::ReadOvertakesWrite));
        assert_eq!(on(Mutant::ReadOvertakesWrite), is_built);
        assert!(!on(Mutant::SyncUnproven));
        let _ = plant(None);
        assert!(!on(Mutant::ReadOvertakesWrite));
    }

    #[test]
    fn each_mistake_has_a_name_and_a_number_of_its_own() {
        let all = Mutant::ALL;
        for (at, mutant) in all.iter().enumerate() {
            let others = all.iter().skip(at + 1);
            assert!(others.clone().all(|other| other.name() != mutant.name()));
            assert!(others.clone().all(|other| other.label() != mutant.label()));
            assert_eq!(Mutant::named(mutant.label()), Some(*mutant));
            assert_eq!(Mutant::named(&mutant.name().to_lowercase()), Some(*mutant));
        }
    }
}
