//! What must hold, checked while it happens: a file for each property, named by its number.
//!
//! The checks know things that no server knows: every txn that was ever decided, what each disk holds, what each client
//! was told (ghost state). Each counts how often its premise held, so that a run shows which of them were put to the test
//! at all (I-44). The numbers I-1 to I-44 are those of [`INVARIANTS`], which also says where each is checked that the
//! simulator cannot see; names with other letters are pitfalls and rules that worlds once broke.
//!
//! | File | |
//! |---|---|
//! | `i01_…` to `i43_…`, `p20_…`, `r1_…` | one property each: its name, what breaks it |
//! | `invariants` | all 44, and who checks each |
//! | `tested` | what a run of many seeds must have put to the test: I-44 |
//! | `checker` | the checks of one world |
//! | `servers`, `roles`, `answers` | what is seen of servers, of their roles, of what clients are told: which checks that is for |
//! | `order`, `disks`, `promises` | ghost state: what is decided, what disks hold, what was promised |
//! | `happenings`, `users`, `watches` | ghost state: what happened to paths and who may do what there, who clients are, what connections watch |

mod answers;
mod checker;
mod disks;
mod happenings;
mod i01_one_leader;
mod i02_integrity;
mod i03_prefix_agreement;
mod i04_total_order;
mod i05_primary_order;
mod i06_primary_integrity;
mod i07_leader_completeness;
mod i08_commit_needs_disks;
mod i09_commit_is_for_ever;
mod i10_sync_result;
mod i11_epochs;
mod i12_votes;
mod i13_equal_state;
mod i14_recovery;
mod i15_contiguity;
mod i16_snapshot_truth;
mod i17_replay_law;
mod i18_no_unbootable_state;
mod i19_silent_damage;
mod i20_atomic_multi;
mod i21_sequential_names;
mod i22_no_write_lost;
mod i23_no_phantom;
mod i24_linearizable;
mod i25_reads;
mod i26_session_order;
mod i27_staleness;
mod i28_ephemeral_owner;
mod i29_lease;
mod i30_one_owner;
mod i31_told_on_time;
mod i32_at_most_one_event;
mod i33_event_before_data;
mod i34_event_order;
mod i35_no_event_missed;
mod i36_no_leak;
mod i38_access;
mod i39_memory;
mod i40_roles_end;
mod i41_progress;
mod i42_no_needless_elections;
pub(crate) mod i43_determinism;
mod invariants;
mod order;
mod p102_sweep;
mod p127_epoch_length;
mod p20_nothing_out_of_order;
mod p48_disk_lost;
mod p59_elections;
mod promises;
mod r1_durable_first;
mod r4_only_committed;
mod r6_txn_limit;
mod roles;
mod servers;
mod tested;
pub mod users;
mod watches;

pub use answers::{Answer, Told};
pub use checker::{Checker, Counts, Violation};
pub use i19_silent_damage::Outcome as DamageOutcome;
pub use i20_atomic_multi::{Seen, TWINS};
pub use i38_access::{Access, Grantee, Need};
pub(crate) use i39_memory::Kept;
pub use invariants::{INVARIANTS, Invariant};
pub use order::{Change, ChildChange, Decided};
pub use tested::required;
pub use users::Users;
pub use watches::{WatchKind, Watching};

use checker::{Verdict, fails};
