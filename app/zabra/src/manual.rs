//! `zabra completions` and `zabra man`: generated from the very definition that reads the command line.
//!
//! Two commands read their arguments by themselves, with the tolerance of Apache's tools: `cli` and `initialize`. For them the
//! definition is completed here. What it is not: never used to parse.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use zabra_cli::ShellOption;

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Whose script
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Where to write a page for the program and one for each command; without: the program's page goes to standard output
    dir: Option<PathBuf>,
}

/// Prints a completion script.
pub(crate) fn completions(zabra: Command, args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut completed(zabra), "zabra", &mut script);
    // fish has an option of its own for words with one hyphen.
    let script = String::from_utf8(script)?
        .replace(&format!("--{ONE_HYPHEN}"), "-")
        .replace(&format!("-l {ONE_HYPHEN}"), "-o ");
    print(script.as_bytes())
}

/// Prints one page or writes all.
pub(crate) fn man(zabra: Command, args: &ManArgs) -> anyhow::Result<()> {
    let zabra = completed(zabra);
    let Some(dir) = &args.dir else {
        return print(&page(zabra)?.1);
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut commands = vec![zabra];
    while let Some(command) = commands.pop() {
        // A page's name is that of its command, with those above it.
        commands.extend(command.get_subcommands().cloned());
        let (name, text) = page(command)?;
        let file = dir.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// A page and the name of its file.
fn page(command: Command) -> anyhow::Result<(String, Vec<u8>)> {
    let mut page = Vec::new();
    let is_shell = command.get_name() == "cli";
    let man = Man::new(command.disable_help_subcommand(true)).manual("Zabra");
    man.render(&mut page)?;
    let one_hyphen = escaped(&format!("--{ONE_HYPHEN}"));
    let mut page = String::from_utf8(page)?
        .replace(&one_hyphen, "\\-")
        .replace(".SH EXTRA", ".SH NOTES");
    if is_shell {
        page.push_str(".SH COMMANDS\n");
        for command in zabra_cli::commands() {
            let (name, syntax) = (escaped(command.name), escaped(command.syntax));
            page.push_str(&format!(".TP\n\\fB{name}\\fR {syntax}\n"));
            page.push_str(&format!("{}\n", escaped(command.help)));
        }
    }
    Ok((man.get_filename(), page.into_bytes()))
}

/// A text as roff takes it, if it begins with a letter.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    match io::stdout().write_all(bytes) {
        // Who reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Stands in a definition before a word that is written with one hyphen, which the generators do not know.
const ONE_HYPHEN: &str = "with-one-hyphen-";

/// The definition with all arguments in it, ready for the generators.
fn completed(zabra: Command) -> Command {
    let mut zabra = zabra
        .disable_help_subcommand(true)
        .mut_subcommand("bench", |bench| bench.disable_help_subcommand(true))
        .mut_subcommand("cli", |parsed| shell(&parsed))
        .mut_subcommand("initialize", |parsed| initialize(&parsed));
    zabra.build();
    zabra
}

/// `zabra cli`, from the shell's own tables.
fn shell(parsed: &Command) -> Command {
    let known = zabra_cli::commands();
    let known = known.map(|command| PossibleValue::new(command.name).help(command.help));
    Command::new("cli")
        .about(parsed.get_about().cloned().unwrap_or_default())
        .after_help(format!(
            "Without a command it reads commands from the terminal, or from standard input, one on a line. \
             `zabra cli help COMMAND` shows how one is written.\n\n{}",
            zabra_cli::EXIT_CODES
        ))
        .disable_help_flag(true)
        .args(zabra_cli::OPTIONS.iter().map(option))
        .arg(
            Arg::new("command")
                .value_parser(PossibleValuesParser::new(known))
                .hide_possible_values(true)
                .help("A command to run at once"),
        )
        .arg(
            Arg::new("argument")
                .num_args(0..)
                .value_hint(ValueHint::Other)
                .help("What the command needs"),
        )
}

fn option(option: &ShellOption) -> Arg {
    let id = option.letter.map(String::from);
    let id = option.word.map(str::to_owned).or(id).unwrap_or_default();
    let mut arg = Arg::new(id).help(option.help);
    if let Some(letter) = option.letter {
        arg = arg.short(letter);
    }
    if let Some(word) = option.word {
        arg = if option.has_one_hyphen() {
            arg.long(format!("{ONE_HYPHEN}{word}"))
        } else {
            arg.long(word)
        };
    }
    let Some(value) = option.value else {
        return arg.action(ArgAction::SetTrue);
    };
    let hint = match value {
        "FILE" => ValueHint::FilePath,
        _ => ValueHint::Other,
    };
    arg.value_name(value).value_hint(hint)
}

/// `zabra initialize`, whose arguments are those of Apache's script.
fn initialize(parsed: &Command) -> Command {
    Command::new("initialize")
        .about(parsed.get_about().cloned().unwrap_or_default())
        .arg(
            Arg::new("configfile")
                .long("configfile")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .help("The zoo.cfg that names the directories"),
        )
        .arg(
            Arg::new("myid")
                .long("myid")
                .value_name("NUMBER")
                .help("The number of this server, 1 to 255"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Empty directories that hold data"),
        )
}
