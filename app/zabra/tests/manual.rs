//! What is generated from the command line definition is what shells and `man` read.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn zabra(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_zabra"))
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a program says of a text on its standard input; nothing if it is not installed here.
fn tried(program: &str, args: &[&str], input: &str) -> Option<(bool, String)> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    Some((output.status.success(), said))
}

#[test]
fn each_shell_can_read_its_completion_script() {
    for shell in ["bash", "zsh", "fish"] {
        let script = zabra(&["completions", shell]);
        let result = tried(shell, &["-n"], &script);
        assert!(result.is_some() || shell != "bash", "the gate has bash");
        if let Some((success, said)) = result {
            assert!(success && said.is_empty(), "{shell}: {said}");
        }
    }
}

#[test]
fn options_of_the_shell_are_completed_with_one_hyphen() {
    for shell in SHELLS {
        let script = zabra(&["completions", shell]);
        assert!(
            script.contains(if shell == "fish" {
                "-o waitforconnection"
            } else {
                "-waitforconnection"
            }),
            "{shell}"
        );
        for wrong in ["--waitforconnection", "with-one-hyphen"] {
            assert!(!script.contains(wrong), "{shell}: {wrong}");
        }
    }
}

/// What bash offers for the last word.
fn completed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "{}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_zabra zabra '{}' '{}'\necho \"${{COMPREPLY[@]}}\"\n",
        zabra(&["completions", "bash"]),
        quoted.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    tried("bash", &["-s"], &script).unwrap().1.trim().to_owned()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(completed(&["zabra", "snap"]), "snapshot");
    assert_eq!(completed(&["zabra", "cli", "-wait"]), "-waitforconnection");
    assert_eq!(completed(&["zabra", "cli", "getAc"]), "getAcl");
    assert_eq!(completed(&["zabra", "initialize", "--my"]), "--myid");
    assert_eq!(completed(&["zabra", "completions", "z"]), "zsh");
}

#[test]
fn each_command_has_a_man_page_that_renders() {
    let dir = tempfile::tempdir().unwrap();
    let man = dir.path().join("man1");
    assert_eq!(zabra(&["man", man.to_str().unwrap()]), "");
    let help = zabra(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:");
    let commands = commands.skip(1).take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        assert!(man.join(format!("zabra-{name}.1")).exists(), "{name}");
    }
    for page in fs::read_dir(&man).unwrap() {
        renders(&page.unwrap().path());
    }
    assert_eq!(
        zabra(&["man"]),
        fs::read_to_string(man.join("zabra.1")).unwrap()
    );
}

fn renders(page: &Path) {
    let text = fs::read_to_string(page).unwrap();
    assert!(text.contains(".SH SYNOPSIS"), "{}", page.display());
    assert!(!text.contains("one\\-hyphen"), "{}", page.display());
    let args = ["-man", "-ww", "-z", "-Tutf8"];
    if let Some((success, said)) = tried("groff", &args, &text) {
        assert!(success && said.is_empty(), "{}: {said}", page.display());
    }
}

#[test]
fn the_page_of_the_shell_has_its_options_commands_and_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    zabra(&["man", dir.path().to_str().unwrap()]);
    let text = fs::read_to_string(dir.path().join("zabra-cli.1")).unwrap();
    for part in [
        "\\-server",
        "\\-waitforconnection",
        "\\fBcreate\\fR [\\-s] [\\-e] [\\-c] [\\-t ttl] path [data] [acl]",
        "127 unknown command",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
