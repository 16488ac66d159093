//! The four-letter words of an ensemble, role by role, beside those of Apache's server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use zabra_proto::client::{CreateRequest, PathWatchRequest};
use zabra_proto::{ErrorCode, OpCode, Perms, RawAcl};

use super::members::Ensemble;
use crate::common::{Client, word};

const VECTORS: &str = include_str!("../vectors/ensemble_words.txt");

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// Where the member with this role is.
fn find(ensemble: &Ensemble, role: &str) -> usize {
    let modes = ensemble.modes();
    let found = modes.iter().find(|(_, mode)| mode == role);
    found
        .unwrap_or_else(|| panic!("nobody is {role}: {modes:?}"))
        .0
}

/// A session with an ephemeral and a watch.
fn session(address: SocketAddr, path: &str) -> Client {
    let mut client = Client::open(address);
    let acl = RawAcl {
        perms: Perms(31),
        scheme: Some("world".into()),
        id: Some("anyone".into()),
    };
    let create = CreateRequest {
        path: path.into(),
        data: Some(b"x"),
        acl: Some(vec![acl]),
        flags: 1,
    };
    let create = client.request(OpCode::Create, &create);
    assert_eq!(client.ask(&create), ErrorCode::OK);
    let watch = PathWatchRequest {
        path: path.into(),
        watch: true,
    };
    let exists = client.request(OpCode::Exists, &watch);
    assert_eq!(client.ask(&exists), ErrorCode::OK);
    client
}

/// The recorded answers by role and word.
fn recorded() -> BTreeMap<(&'static str, &'static str), Vec<&'static str>> {
    let mut answers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut at = ("", "");
    for line in VECTORS.lines().skip(3) {
        match line
            .strip_prefix("== ")
            .and_then(|head| head.split_once(' '))
        {
            Some(head) => at = head,
            None => answers.entry(at).or_default().push(line),
        }
    }
    answers
}

/// As the recorded answers are: numbers are `#`, times and directories left out, a line that repeats stands once.
fn masked(answer: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in answer.split('\n') {
        let line = match line.split_once('=') {
            Some((key @ ("dataDir" | "dataLogDir"), _)) => format!("{key}="),
            _ if line.starts_with("Zookeeper version:") => "Zookeeper version:".to_owned(),
            _ => match line.split_once(" expire at ") {
                Some((count, _)) => format!("{} expire at DATE:", numbers_masked(count)),
                None => numbers_masked(line),
            },
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn numbers_masked(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (shown, len) = match rest.strip_prefix("0x") {
            Some(hex) => {
                let end = hex.find(|c: char| !c.is_ascii_hexdigit());
                ("#x#", 2 + end.unwrap_or(hex.len()))
            }
            None => {
                let end = rest.find(|c: char| !c.is_ascii_digit());
                ("#", end.unwrap_or(rest.len()))
            }
        };
        out.push_str(shown);
        rest = &rest[len..];
    }
    out + rest
}

/// Names of `mntr`, of summaries the means only.
fn names(answer: &str) -> BTreeSet<&str> {
    let names: BTreeSet<&str> = answer
        .lines()
        .filter_map(|row| Some(row.split_once('\t')?.0))
        .collect();
    let is_of_summary = |name: &&str| {
        let kinds = ["min", "max", "cnt", "sum", "p50", "p95", "p99", "p999"];
        let parts = name
            .strip_prefix("zk_")
            .and_then(|rest| rest.split_once('_'));
        parts.is_some_and(|(kind, of)| {
            kinds.contains(&kind) && names.contains(&*format!("zk_avg_{of}"))
        })
    };
    let means = names.iter().filter(|name| !is_of_summary(name));
    means.copied().collect()
}

/// What stands in `mntr` because of the role (ME-23, ME-24, ME-32, FL-26).
const OF_MEMBERS: [&str; 12] = [
    "zk_peer_state",
    "zk_quorum_size",
    "zk_looking_count",
    "zk_diff_count",
    "zk_snap_count",
    "zk_avg_election_time",
    "zk_avg_follower_sync_time",
    "zk_avg_observer_sync_time",
    "zk_avg_unavailable_time",
    "zk_proposal_count",
    "zk_learner_proposal_received_count",
    "zk_learner_commit_received_count",
];
const OF_LEADERS: [&str; 9] = [
    "zk_learners",
    "zk_synced_followers",
    "zk_synced_non_voting_followers",
    "zk_synced_observers",
    "zk_pending_syncs",
    "zk_leader_uptime",
    "zk_last_proposal_size",
    "zk_min_proposal_size",
    "zk_max_proposal_size",
];

/// Every word but `mntr`, beside what was recorded.
fn compare_texts(ensemble: &Ensemble, role: &str) {
    let address = ensemble.address(find(ensemble, role));
    for ((of, asked), expected) in recorded() {
        if of != role || asked == "mntr" {
            continue;
        }
        let mut found = masked(&word(address, asked));
        let mut expected = expected;
        if asked == "cons" {
            found.sort();
            expected.sort_unstable();
        }
        assert_eq!(found, expected, "{role} {asked}");
    }
}

/// No row that Apache's server does not have, and all that are of the role.
fn compare_rows(ensemble: &Ensemble, role: &str) {
    let answer = word(ensemble.address(find(ensemble, role)), "mntr");
    let recorded = recorded();
    let found = names(&answer);
    let apaches: BTreeSet<&str> = recorded[&(role, "mntr")].iter().copied().collect();
    let strangers: Vec<_> = found.difference(&apaches).collect();
    assert!(strangers.is_empty(), "{role}: {strangers:?}");
    let of_leaders = OF_LEADERS.iter().filter(|_| role == "leader");
    for name in OF_MEMBERS.iter().chain(of_leaders) {
        assert!(
            apaches.contains(name) && found.contains(name),
            "{role}: {name}"
        );
    }
    assert!(answer.contains("\nzk_quorum_size\t3\n"), "{answer}");
}

#[test]
fn each_role_answers_each_word_as_apache_does() {
    let ensemble = Ensemble::started_with_observer();
    let sessions = (1..=4).map(|sid| session(ensemble.address(sid), &format!("/e{sid}")));
    let clients: Vec<Client> = sessions.collect();
    for sid in 1..=4 {
        ensemble.until("all ephemerals", |ensemble| {
            let dump = word(ensemble.address(sid), "dump");
            dump.contains("Sessions with Ephemerals (4):").then_some(())
        });
    }
    for role in ["leader", "follower", "observer"] {
        compare_texts(&ensemble, role);
        compare_rows(&ensemble, role);
    }
    let answer = word(ensemble.address(find(&ensemble, "leader")), "mntr");
    for row in [
        "zk_learners\t3",
        "zk_synced_followers\t2",
        "zk_synced_observers\t1",
    ] {
        assert!(answer.contains(row), "{answer}");
    }
    drop(clients);
    ensemble.stop_all();
}

#[test]
fn without_a_quorum_only_the_words_that_need_none_are_answered() {
    let mut ensemble = Ensemble::started_with_observer();
    let observer = ensemble.address(find(&ensemble, "observer"));
    for role in ["follower", "leader"] {
        let sid = find(&ensemble, role);
        ensemble.stop(sid);
    }
    ensemble.until("the loss of the quorum", |_| {
        (word(observer, "srvr") == NOT_SERVING).then_some(())
    });
    for asked in [
        "conf", "cons", "crst", "dirs", "dump", "mntr", "srst", "stat", "wchs", "wchc", "wchp",
    ] {
        assert_eq!(word(observer, asked), NOT_SERVING, "{asked}");
    }
    assert_eq!(word(observer, "hash"), NOT_SERVING.trim_end());
    assert_eq!(word(observer, "isro"), "null");
    assert_eq!(word(observer, "ruok"), "imok");
    assert_eq!(word(observer, "gtmk"), "306");
    assert!(word(observer, "envi").starts_with("Environment:\n"));
    ensemble.stop_all();
}
