//! The shell: zkCli's commands, texts and exit codes, and what people write scripts for besides.
//!
//! [`run()`] is the whole program behind `zabra cli`. A line becomes words (`words`), the words a command (`command`) with
//! its options (`options`), and the command is run (`run`) in a session (`session`). What it prints goes through the
//! `screen`, as Apache's text (`text`, `usage`, `failure`) or as JSON (`json`); events of watches come in between
//! (`watches`). `terminal` adds line editing, completion and history. [`OPTIONS`] and [`commands()`] are its command line as data.
//!
//! What it is not: it speaks no protocol, that is `zabra-client`.

#![forbid(unsafe_code)]

mod acl;
mod command;
mod completion;
mod configuration;
mod definition;
mod failure;
mod folder;
mod glob;
mod history;
mod invocation;
mod json;
mod options;
mod path;
mod progress;
mod quota;
mod reach;
mod run;
mod screen;
mod session;
mod shell;
mod terminal;
mod text;
mod usage;
mod watches;
mod words;

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use zabra_proto::ErrorCode;

pub use definition::{EXIT_CODES, OPTIONS, ShellCommand, ShellOption, commands};

use configuration::Configuration;
use invocation::Invocation;
use screen::Screen;
use shell::{Flow, Shell};

/// Runs the shell with the arguments behind the program's name, and returns its exit code: 0 for success, 1 if the last
/// command failed, 2 for a bad client configuration, 127 for an unknown command.
///
/// `version` is what the command `version` tells.
pub fn run(args: impl IntoIterator<Item = String>, version: &str) -> u8 {
    let asked = match Invocation::parse(args) {
        Ok(asked) => asked,
        Err(complaint) => return complain(&complaint, 1),
    };
    if asked.help {
        Screen::new(false).say(&definition::help());
        return 0;
    }
    let screen = Arc::new(Screen::new(asked.json));
    for complaint in &asked.complaints {
        screen.complain(complaint);
    }
    if !asked.quiet {
        screen.say(&format!("Connecting to {}", asked.server));
    }
    let configuration = match asked
        .client_configuration
        .as_deref()
        .map(Configuration::read)
    {
        None => Configuration::default(),
        Some(Ok(configuration)) => configuration,
        Some(Err(complaint)) => return complain(&complaint, 2),
    };
    // One thread carries the session while the main thread waits for lines.
    let runtime = match Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("Cannot start: {error}"), 1),
    };
    let entered = runtime.enter();
    let mut shell = Shell::new(asked.clone(), configuration, version, Arc::clone(&screen));
    drop(entered);
    let exit = session(&runtime, &mut shell, &asked, &screen);
    runtime.block_on(shell.close(false));
    exit
}

/// Says why nothing can be done.
fn complain(complaint: &str, exit: u8) -> u8 {
    use io::Write;
    // There is no place to tell that standard error is gone.
    let _ = writeln!(anstream::stderr(), "{complaint}");
    exit
}

/// Connects and runs what is to be run.
fn session(runtime: &Runtime, shell: &mut Shell, asked: &Invocation, screen: &Screen) -> u8 {
    if let Err(failure) = runtime.block_on(shell.connect(&asked.server)) {
        return complain(&failure.text, failure.exit);
    }
    if asked.wait_for_connection && !runtime.block_on(shell.await_server()) {
        // Apache's client has the code -4 for it.
        return complain(&failure::keeper_error(ErrorCode::from_code(-4), None), 1);
    }
    if !asked.command.is_empty() {
        runtime.block_on(shell.words(&asked.command));
        return shell.exit();
    }
    if !asked.quiet {
        screen.say("Welcome to ZooKeeper!");
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        screen.say("JLine support is enabled");
        screen.say("`help` lists the commands, Ctrl-D ends the shell.");
        if let Err(error) = terminal::run(runtime, shell, screen) {
            return complain(&format!("The terminal cannot be used: {error}"), 1);
        }
    } else {
        if !asked.quiet {
            screen.say("JLine support is disabled");
        }
        lines(runtime, shell, screen);
    }
    shell.exit()
}

/// Runs the lines of standard input.
fn lines(runtime: &Runtime, shell: &mut Shell, screen: &Screen) {
    let mut line = Vec::new();
    // Not `lines()`: a command may read standard input too, and bytes that are no text are no reason to end.
    while !screen.is_gone()
        && io::stdin()
            .lock()
            .read_until(b'\n', &mut line)
            .is_ok_and(|len| len > 0)
    {
        let text = String::from_utf8_lossy(&line);
        if runtime.block_on(shell.line(text.trim_end_matches(['\n', '\r']))) == Flow::Quit {
            break;
        }
        line.clear();
    }
}
