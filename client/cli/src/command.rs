//! Every command: its name, syntax, options and one sentence.
//!
//! Data only. What a command does is in `run`; the texts of Apache's commands are Apache's, letter for letter.

use crate::options::{Choice, Opt, flag, value};

/// A command of the shell.
#[derive(Debug)]
pub(crate) struct Command {
    /// What is typed.
    pub(crate) name: &'static str,
    /// What follows the name in usage texts.
    pub(crate) syntax: &'static str,
    /// Its options.
    pub(crate) options: &'static [Opt],
    /// How many of the options at once.
    pub(crate) choice: Choice,
    /// Whether the usage of this one command lists its options.
    pub(crate) lists_options: bool,
    /// How many words it needs at least, itself included; less shows its usage.
    pub(crate) words_min: usize,
    /// What it does.
    pub(crate) help: &'static str,
}

/// The command with this name.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

const fn apache(
    name: &'static str,
    syntax: &'static str,
    words_min: usize,
    options: &'static [Opt],
    help: &'static str,
) -> Command {
    Command {
        name,
        syntax,
        options,
        choice: Choice::Free,
        lists_options: false,
        words_min,
        help,
    }
}

const fn ours(
    name: &'static str,
    syntax: &'static str,
    words_min: usize,
    options: &'static [Opt],
    help: &'static str,
) -> Command {
    Command {
        lists_options: true,
        ..apache(name, syntax, words_min, options, help)
    }
}

const STAT: Opt = flag("s", "stats");
const WATCH: Opt = flag("w", "watch");

/// All commands, sorted by name as bytes.
pub(crate) const COMMANDS: &[Command] = &[
    ours(
        "?",
        "[command]",
        1,
        &[],
        "show the commands, or one of them",
    ),
    apache(
        "addWatch",
        "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
        2,
        &[value("m", "mode of the watch")],
        "watch a znode, or a subtree, until the watch is removed",
    ),
    apache(
        "addauth",
        "scheme auth",
        2,
        &[],
        "add an identity to this session",
    ),
    apache("close", "", 1, &[], "end the session and stay in the shell"),
    apache(
        "config",
        "[-c] [-w] [-s]",
        1,
        &[STAT, WATCH, flag("c", "client connection string")],
        "show the membership of the ensemble",
    ),
    apache(
        "connect",
        "host:port",
        1,
        &[],
        "open a session, with this server or with the same as before",
    ),
    apache(
        "create",
        "[-s] [-e] [-c] [-t ttl] path [data] [acl]",
        2,
        &[
            flag("e", "ephemeral"),
            flag("s", "sequential"),
            flag("c", "container"),
            value("t", "ttl"),
        ],
        "create a znode",
    ),
    apache(
        "delete",
        "[-v version] path",
        2,
        &[value("v", "version")],
        "delete a znode without children",
    ),
    apache(
        "deleteall",
        "path [-b batch size]",
        2,
        &[value("b", "batch size")],
        "delete a znode with all below it",
    ),
    Command {
        choice: Choice::AtMostOne,
        ..apache(
            "delquota",
            "[-n|-b|-N|-B] path",
            2,
            &[
                flag("n", "num soft quota"),
                flag("b", "bytes soft quota"),
                flag("N", "num hard quota"),
                flag("B", "bytes hard quota"),
            ],
            "lift a quota",
        )
    },
    ours("exit", "", 1, &[], "end the session and the shell"),
    ours(
        "export",
        "[-d] [-f] path file|directory",
        3,
        &[
            flag(
                "d",
                "Write a directory, a file per znode, instead of JSON lines",
            ),
            flag("f", "Overwrite what is there"),
        ],
        "write a subtree as JSON lines (`-` for standard output) or into a directory",
    ),
    ours(
        "find",
        "path [-name glob] [-data text] [-owner session]",
        2,
        &[
            value("name", "Last name of the path, with * and ?"),
            value("data", "Text that the data contains"),
            value(
                "owner",
                "Session of an ephemeral, in hex; `any` for every one",
            ),
        ],
        "show the paths below a path that match",
    ),
    Command {
        lists_options: true,
        ..apache(
            "get",
            "[-s] [-w] [-b] [-x] path",
            2,
            &[
                flag("s", "Print znode stats additionally"),
                flag("w", "Watch for changes on the znode"),
                flag("b", "Output data in base64 format"),
                flag("x", "Output data in hexdump format"),
            ],
            "show the data of a znode",
        )
    },
    apache(
        "getAcl",
        "[-s] path",
        2,
        &[STAT],
        "show who may do what with a znode",
    ),
    apache(
        "getAllChildrenNumber",
        "path",
        2,
        &[],
        "count the znodes below a path",
    ),
    apache(
        "getEphemerals",
        "path",
        1,
        &[],
        "show the ephemeral znodes of this session",
    ),
    ours(
        "h",
        "[command]",
        1,
        &[],
        "show the commands, or one of them",
    ),
    ours(
        "help",
        "[command]",
        1,
        &[],
        "show the commands, or one of them",
    ),
    apache("history", "", 1, &[], "show the last commands"),
    ours(
        "import",
        "[-f] [-n] file|directory path",
        3,
        &[
            flag("f", "Overwrite the data of znodes that are there"),
            flag("n", "Only say what would be done"),
        ],
        "create a subtree from what `export` wrote (`-` for standard input)",
    ),
    apache(
        "listquota",
        "path",
        2,
        &[],
        "show the quota of a subtree and what it uses",
    ),
    apache(
        "ls",
        "[-s] [-w] [-R] path",
        2,
        &[
            flag("?", "help"),
            flag("R", "recurse"),
            flag("s", "stat"),
            flag("w", "watch"),
        ],
        "show the children of a znode",
    ),
    ours(
        "ls2",
        "path [watch]",
        2,
        &[],
        "as `ls -s`; the form of ZooKeeper 3.4",
    ),
    apache(
        "printwatches",
        "on|off",
        1,
        &[],
        "whether events of watches are shown",
    ),
    apache("quit", "", 1, &[], "end the session and the shell"),
    apache(
        "reconfig",
        "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | \
         [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
        1,
        &[
            STAT,
            value("v", "required current config version"),
            value("file", "path of config file to parse for membership"),
            value(
                "members",
                "comma-separated list of config strings for non-incremental reconfig",
            ),
            value(
                "add",
                "comma-separated list of config strings for new servers",
            ),
            value("remove", "comma-separated list of server IDs to remove"),
        ],
        "change the membership of the ensemble",
    ),
    apache("redo", "cmdno", 1, &[], "do a command of `history` again"),
    apache(
        "removewatches",
        "path [-c|-d|-a] [-l]",
        2,
        &[
            flag("c", "child watcher type"),
            flag("d", "data watcher type"),
            flag("p", "persistent watcher type"),
            flag("r", "persistent recursive watcher type"),
            flag("a", "any watcher type"),
            flag("l", "remove locally when there is no server connection"),
        ],
        "remove watches from a path",
    ),
    ours(
        "rmr",
        "path",
        2,
        &[],
        "as `deleteall`; the form of ZooKeeper 3.4",
    ),
    Command {
        lists_options: true,
        ..apache(
            "set",
            "path data [-s] [-v version] [-b]",
            3,
            &[
                flag("s", "Print znode stats additionally"),
                value("v", "Set with an expected version"),
                flag("b", "Supply data in base64 format"),
            ],
            "replace the data of a znode",
        )
    },
    apache(
        "setAcl",
        "[-s] [-v version] [-R] path acl",
        3,
        &[STAT, value("v", "version"), flag("R", "recursive")],
        "say who may do what with a znode, or with a subtree",
    ),
    Command {
        choice: Choice::One,
        ..apache(
            "setquota",
            "-n|-b|-N|-B val path",
            2,
            &[
                value("n", "num soft quota"),
                value("b", "bytes soft quota"),
                value("N", "num hard quota"),
                value("B", "bytes hard quota"),
            ],
            "limit a subtree: znodes or bytes, soft (only logged) or hard",
        )
    },
    apache(
        "stat",
        "[-w] path",
        2,
        &[WATCH],
        "show the numbers kept with a znode",
    ),
    apache(
        "sync",
        "path",
        2,
        &[],
        "let this server catch up with the leader",
    ),
    ours(
        "tree",
        "[-L depth] [-s] path",
        2,
        &[
            value("L", "How many levels deep"),
            flag("s", "Show how many bytes each znode has"),
        ],
        "draw a subtree",
    ),
    apache("version", "", 1, &[], "show the version of the shell"),
    ours(
        "watch",
        "path",
        2,
        &[],
        "follow all changes of a subtree until interrupted",
    ),
    apache("whoami", "", 1, &[], "show the identities of this session"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted_and_named_once() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn every_command_of_3_4_is_there() {
        let of_3_4 = "stat set ls delquota ls2 setAcl setquota history redo printwatches delete sync listquota rmr get \
                      create addauth quit getAcl close connect";
        for name in of_3_4.split_whitespace() {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
