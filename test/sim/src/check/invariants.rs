//! The 44 invariants, and who checks each: the simulator, by premises that it counts, and tests of other suites.

use super::{
    i01_one_leader, i02_integrity, i03_prefix_agreement, i04_total_order, i05_primary_order,
    i06_primary_integrity, i07_leader_completeness, i08_commit_needs_disks, i09_commit_is_for_ever,
    i10_sync_result, i11_epochs, i12_votes, i13_equal_state, i14_recovery, i15_contiguity,
    i16_snapshot_truth, i17_replay_law, i18_no_unbootable_state, i19_silent_damage,
    i20_atomic_multi, i21_sequential_names, i22_no_write_lost, i23_no_phantom, i24_linearizable,
    i25_reads, i26_session_order, i27_staleness, i28_ephemeral_owner, i29_lease, i30_one_owner,
    i31_told_on_time, i32_at_most_one_event, i33_event_before_data, i34_event_order,
    i35_no_event_missed, i36_no_leak, i38_access, i39_memory, i40_roles_end, i41_progress,
    i42_no_needless_elections,
};

/// One of the 44.
#[derive(Debug)]
pub struct Invariant {
    /// Its number.
    pub number: u8,
    /// What must hold.
    pub says: &'static str,
    /// Premises that the simulator counts, each of which a run of many seeds must have met.
    pub premises: &'static [&'static str],
    /// Tests of other suites that check it, too, or alone: file and name.
    pub tests: &'static [(&'static str, &'static str)],
}

const fn row(
    number: u8,
    says: &'static str,
    premises: &'static [&'static str],
    tests: &'static [(&'static str, &'static str)],
) -> Invariant {
    Invariant {
        number,
        says,
        premises,
        tests,
    }
}

const CRASH: &str = "io/storage/tests/crash.rs";
const DAMAGE: &str = "io/storage/tests/damage.rs";
const MATRIX: &str = "test/matrix/tests/matrix.rs";
const WRONG: &str = "test/history/tests/wrong.rs";

/// All of them.
#[rustfmt::skip]
pub const INVARIANTS: [Invariant; 44] = [
    row(1, "one leader per epoch", &[i01_one_leader::NAME], &[]),
    row(2, "what is applied was proposed, with the same bytes", &[i02_integrity::NAME], &[]),
    row(3, "servers agree on a prefix", &[i03_prefix_agreement::NAME], &[]),
    row(4, "zxids go on one by one", &[i04_total_order::NAME], &[]),
    row(5, "a leader's txns are applied in its order, epoch after epoch", &[i05_primary_order::NAME], &[]),
    row(6, "who proposes first in an epoch has applied all before it", &[i06_primary_integrity::NAME], &[]),
    row(7, "an established leader has all that is decided", &[i07_leader_completeness::NAME], &[]),
    row(8, "what is decided is on a quorum's disks", &[i08_commit_needs_disks::NAME], &[]),
    row(9, "what is decided stays", &[i09_commit_is_for_ever::NAME], &[]),
    row(10, "who acks NEWLEADER has the epoch's history", &[i10_sync_result::NAME], &[]),
    row(11, "epochs never fall, one leader has the word", &[i11_epochs::NAME], &[]),
    row(12, "votes tell what is on disk", &[i12_votes::NAME], &[]),
    row(13, "the same zxid is the same state", &[i13_equal_state::NAME], &[]),
    row(14, "recovery finds all that was acked", &[i14_recovery::NAME],
        &[(CRASH, "after_any_power_cut_the_server_starts_and_has_what_it_acknowledged")]),
    row(15, "snapshot and log have no hole between them", &[i15_contiguity::NAME],
        &[("io/storage/tests/purge.rs", "a_log_that_begins_later_than_its_name_says_keeps_the_one_before_it")]),
    row(16, "a snapshot is the state behind a decided prefix", &[i16_snapshot_truth::NAME], &[]),
    row(17, "what is replayed twice is what is replayed once", &[i17_replay_law::NAME],
        &[("core/tree/tests/replay.rs", "applying_a_log_again_from_any_point_changes_nothing")]),
    row(18, "the server starts again, without a person", &[i18_no_unbootable_state::NAME],
        &[(CRASH, "no_fault_of_any_operation_makes_an_acknowledged_txn_vanish")]),
    row(19, "damage is mended or refused, never served",
        &[i19_silent_damage::NAME, i19_silent_damage::MENDED, i19_silent_damage::REFUSED],
        &[(MATRIX, "each_of_the_4096_is_mended_whole_or_stops_everybody"),
          (DAMAGE, "a_damaged_byte_never_changes_the_state_in_silence"),
          (DAMAGE, "a_lost_or_misplaced_sector_never_changes_the_state_in_silence")]),
    row(20, "no one sees a part of a multi",
        &[i20_atomic_multi::NAME, i20_atomic_multi::READ, i20_atomic_multi::FAILED],
        &[("core/peer/tests/outstanding.rs", "a_failing_multi_leaves_no_trace_wherever_it_fails")]),
    row(21, "stats and sequential names follow their laws", &[i21_sequential_names::NAME],
        &[("core/tree/tests/twin.rs", "decided_transactions_do_what_the_model_says")]),
    row(22, "no acknowledged write is lost", &[i22_no_write_lost::NAME],
        &[(WRONG, "an_acknowledged_znode_that_is_not_there_is_refused")]),
    row(23, "a refused write has no effect, an unanswered one at most one",
        &[i23_no_phantom::NAME, i23_no_phantom::ONCE],
        &[(WRONG, "a_value_of_a_write_that_was_refused_is_refused"),
          (WRONG, "an_unanswered_write_that_happens_twice_is_refused")]),
    row(24, "writes, and reads behind a sync, are linearizable", &[i24_linearizable::SYNC],
        &[(WRONG, "answers_that_no_order_explains_are_refused_whatever_their_zxids_say")]),
    row(25, "reads are of states that never go back", &[i25_reads::NAME],
        &[(WRONG, "an_older_value_than_the_answers_zxid_says_is_refused")]),
    row(26, "a session's requests are answered in order", &[i26_session_order::ANSWERS, i26_session_order::WRITES],
        &[(WRONG, "an_answer_that_overtakes_another_is_refused")]),
    row(27, "what is shown is not older than its bound", &[i27_staleness::NAME], &[]),
    row(28, "an ephemeral has its owner, and ends with it", &[i28_ephemeral_owner::NAME],
        &[(WRONG, "ephemeral_znodes_that_go_one_after_the_other_are_refused")]),
    row(29, "a session has its time", &[i29_lease::NAME], &[]),
    row(30, "a session has one server", &[i30_one_owner::NAME], &[]),
    row(31, "a session that is over is told so", &[i31_told_on_time::NAME], &[]),
    row(32, "a watch tells once, or of each change once",
        &[i32_at_most_one_event::NAME, i32_at_most_one_event::ONCE, i32_at_most_one_event::LASTING],
        &[(WRONG, "a_second_event_of_one_watch_is_refused")]),
    row(33, "an event comes before what shows it", &[i33_event_before_data::NAME],
        &[(WRONG, "an_answer_that_shows_a_change_before_its_event_is_refused")]),
    row(34, "events come in the order of txns", &[i34_event_order::NAME],
        &[(WRONG, "events_in_another_order_than_their_changes_are_refused")]),
    row(35, "no event is missed", &[i35_no_event_missed::NAME],
        &[(WRONG, "an_event_that_never_comes_is_refused_at_the_next_answer")]),
    row(36, "no event for nothing, none that the session may not see",
        &[i36_no_leak::NAME, i36_no_leak::WITHHELD, i36_no_leak::WITHHELD_MOVING],
        &[(WRONG, "an_event_for_nothing_is_refused"),
          ("core/serve/tests/watches.rs", "a_childs_coming_is_told_by_the_parents_acl")]),
    // A leader proposes no memberships yet: what elections count under an undecided one is all there is.
    row(37, "an undecided membership needs quorums of both", &[],
        &[("core/quorum/tests/quorum_twin.rs", "a_joint_quorum_is_one_of_each"),
          ("core/quorum/tests/quorum_twin.rs", "a_pending_configuration_needs_its_own_quorum")]),
    row(38, "nobody gets or changes what its rights deny",
        &[
            i38_access::PERMITTED, i38_access::DENIED, i38_access::BY_TXN, i38_access::LISTED, i38_access::SHOWN,
            i38_access::HIDDEN,
        ],
        &[("core/serve/tests/operations.rs", "each_operation_asks_for_its_right_and_no_other")]),
    row(39, "memory is bounded by the configuration",
        &[i39_memory::NAME, i39_memory::SLOW_READER, i39_memory::CROWDED],
        &[("core/serve/tests/limits.rs", "parked_requests_keep_a_bounded_number_of_bytes"),
          ("core/serve/tests/limits.rs", "reads_behind_a_write_cannot_fill_the_memory")]),
    row(40, "a role is left in bounded time", &[i40_roles_end::NAME, i40_roles_end::STOPS], &[]),
    row(41, "a healthy core makes progress", &[i41_progress::NAME, i41_progress::WITH_CORE], &[]),
    row(42, "a leader of a healthy core stays", &[i42_no_needless_elections::NAME], &[]),
    // Of those seeds that are run twice, which only the gate asks for.
    row(43, "the same seed is the same run", &[],
        &[("test/sim/tests/determinism.rs", "the_same_seed_gives_the_same_trace")]),
    row(44, "each premise is counted, and must have held", &[],
        &[("test/sim/src/check/invariants.rs", "each_of_the_44_is_checked_somewhere")]),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_of_the_44_is_checked_somewhere() {
        for (invariant, number) in INVARIANTS.iter().zip(1..) {
            assert_eq!(invariant.number, number);
            let checked = invariant.premises.len() + invariant.tests.len();
            assert!(checked > 0, "nobody checks I-{number}");
        }
    }

    #[test]
    fn a_premise_bears_the_number_of_its_invariant_and_is_of_one() {
        let mut all = std::collections::BTreeSet::new();
        for invariant in &INVARIANTS {
            for premise in invariant.premises {
                let head = format!("I-{} ", invariant.number);
                assert!(premise.starts_with(&head), "{premise} of {head}");
                assert!(all.insert(premise), "{premise} twice");
            }
        }
    }

    #[test]
    fn the_file_of_each_check_bears_its_number_and_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check");
        let files = std::fs::read_dir(folder).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut counted: Vec<u8> = files
            .filter_map(|name| name.strip_prefix('i')?.get(..2)?.parse().ok())
            .collect();
        counted.sort_unstable();
        let of_table = INVARIANTS.iter().filter(|i| !i.premises.is_empty());
        // Determinism is counted where seeds are run twice.
        let of_table = of_table.map(|i| i.number).chain([43]);
        assert_eq!(counted, of_table.collect::<Vec<u8>>());
    }

    #[test]
    fn the_tests_that_are_named_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (file, test) in INVARIANTS.iter().flat_map(|invariant| invariant.tests) {
            let text = std::fs::read_to_string(root.join(file));
            let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
            let head = format!("fn {test}");
            assert!(text.contains(&head), "{file} has no {test}");
        }
    }
}
