//! Differences of `zabra cli` from Apache's zkCli of 3.9 that are decided, each with its reason.

use super::Shown;

/// A decided difference: what is changed in what each shell showed, so that the rest can be compared.
pub struct Known {
    /// What differs.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
    /// Changes what Apache's shell showed.
    pub theirs: fn(&mut Shown),
    /// Changes what ours showed.
    pub ours: fn(&mut Shown),
}

/// Lines of the usage of Apache's shell.
const USAGE_LINES: usize = 29;

/// All of them.
pub const KNOWN: &[Known] = &[
    Known {
        what: "options that cannot be read",
        why: "the name of Java's class is left out, and the usage of the command follows",
        theirs: |shown| {
            for line in &mut shown.err {
                if let Some(text) = line.strip_prefix("org.apache.commons.cli.") {
                    *line = text
                        .split_once(": ")
                        .map_or(text, |(_, text)| text)
                        .to_owned();
                }
            }
        },
        ours: |shown| shown.err.retain(|line| !line.starts_with("usage: ")),
    },
    Known {
        what: "the usage of the shell",
        why: "there are more commands",
        theirs: |_| {},
        ours: |shown| {
            let ours = [
                "?", "exit", "export", "find", "h", "help", "import", "ls2", "rmr", "tree", "watch",
            ];
            shown.err.retain(|line| {
                let name = line
                    .strip_prefix('\t')
                    .and_then(|line| line.split(' ').next());
                name.is_none_or(|name| !ours.contains(&name))
            });
        },
    },
    Known {
        what: "`help`",
        why: "it is a command; Apache's shell does not find it, and shows the usage for that reason",
        theirs: |shown| {
            if let Some(at) = shown
                .err
                .iter()
                .position(|line| line.ends_with("not found help"))
            {
                shown.err.drain(at - USAGE_LINES..=at);
            }
        },
        ours: |shown| {
            let place = |begin: &str| shown.out.iter().position(|line| line.starts_with(begin));
            if let (Some(first), Some(last)) = (place("  addWatch"), place("`help COMMAND`")) {
                shown.out.drain(first..=last);
            }
        },
    },
    Known {
        what: "znodes that `setAcl -R` may not change",
        why: "each is a line; Apache's shell begins no new one",
        theirs: |shown| {
            let mut text = shown.out.join("\n");
            for next in ["KeeperErrorCode", "printwatches is"] {
                text = text.replace(next, &format!("\n{next}"));
            }
            shown.out = text
                .lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect();
        },
        ours: |_| {},
    },
    Known {
        what: "the version",
        why: "it is another program",
        theirs: mask_version,
        ours: mask_version,
    },
    Known {
        what: "the event that the session is connected, of a command that asks no server",
        why: "Apache's shell may have ended before it comes, and ours as well",
        theirs: drop_unawaited_connection,
        ours: drop_unawaited_connection,
    },
    Known {
        what: "the event that the session is closed",
        why: "the thread that prints it in Apache's shell may not come to it before the program ends",
        theirs: drop_end,
        ours: drop_end,
    },
    Known {
        what: "options of the program that are unknown",
        why: "Apache's shell passes over them without a word",
        theirs: |_| {},
        ours: |shown| {
            shown
                .err
                .retain(|line| !line.starts_with("Unknown option "))
        },
    },
];

fn drop_unawaited_connection(shown: &mut Shown) {
    if shown.out.len() == 1 {
        shown
            .events
            .retain(|event| !event.contains("state:SyncConnected type:None"));
    }
}

fn drop_end(shown: &mut Shown) {
    shown.events.retain(|event| !event.contains("state:Closed"));
}

fn mask_version(shown: &mut Shown) {
    for line in &mut shown.out {
        if line.starts_with("ZooKeeper CLI version: ") {
            line.truncate("ZooKeeper CLI version: ".len());
        }
    }
}
