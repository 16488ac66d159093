//! The shell on a terminal: line editing, completion, history over runs, events above the prompt.

use std::borrow::Cow;
use std::sync::PoisonError;
use std::time::Duration;

use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Editor, Helper};
use tokio::runtime::{Handle, Runtime};

use crate::screen::Screen;
use crate::shell::{Flow, Present, Shell};
use crate::{completion, history};

/// How long the first prompt of a session waits for a server, so that it tells the state that matters.
const FIRST_PROMPT: Duration = Duration::from_secs(1);

/// How long completion waits for a server.
const COMPLETION: Duration = Duration::from_millis(500);

/// How many lines the file of all runs keeps.
const LINES_MAX: usize = 1000;

/// Reads and runs lines until the end.
///
/// # Errors
/// The terminal cannot be used.
pub(crate) fn run(
    runtime: &Runtime,
    shell: &mut Shell,
    screen: &Screen,
) -> Result<(), ReadlineError> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(LINES_MAX)?
        .build();
    let mut editor: Editor<Paths, FileHistory> = Editor::with_config(config)?;
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        editor.set_color_mode(ColorMode::Disabled);
    }
    editor.set_helper(Some(Paths {
        runtime: runtime.handle().clone(),
        present: shell.present(),
    }));
    let file = history::file();
    if let Some(file) = &file {
        // The first run has none.
        let _ = editor.load_history(file);
        let _ = file.parent().map(std::fs::create_dir_all);
    }
    screen.set_printer(Box::new(editor.create_external_printer()?));
    runtime.block_on(shell.await_for(FIRST_PROMPT));
    while !screen.is_gone() {
        let line = match editor.readline(&shell.prompt()) {
            Ok(line) => line,
            // As other shells: a line that is given up, the next please.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error),
        };
        if !line.trim().is_empty() && history::may_be_kept(&line) {
            editor.add_history_entry(&line)?;
            if let Some(file) = &file {
                // A history that cannot be written is not missed before the next run.
                let _ = editor.append_history(file);
            }
        }
        // A paste may have brought several.
        for line in line.lines() {
            if runtime.block_on(interruptible(shell, line)) == Flow::Quit {
                return Ok(());
            }
            if line.trim_start().starts_with("connect") {
                runtime.block_on(shell.await_for(FIRST_PROMPT));
            }
        }
    }
    Ok(())
}

/// Runs a line, up to Ctrl-C.
async fn interruptible(shell: &mut Shell, line: &str) -> Flow {
    let interrupted = tokio::select! {
        flow = shell.line(line) => return flow,
        interrupt = tokio::signal::ctrl_c() => interrupt.is_ok(),
    };
    if interrupted {
        shell.interrupted();
    }
    Flow::Continue
}

/// Completes commands, and paths over the wire.
struct Paths {
    runtime: Handle,
    present: Present,
}

impl Paths {
    fn children(&self, path: &str) -> Vec<String> {
        let client = self
            .present
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(client) = client else {
            return Vec::new();
        };
        self.runtime.block_on(async {
            let names = tokio::time::timeout(COMPLETION, client.children(path)).await;
            names.ok().and_then(Result::ok).unwrap_or_default()
        })
    }
}

impl Completer for Paths {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(completion::complete(&line[..pos], |path| {
            self.children(path)
        }))
    }
}

impl Highlighter for Paths {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(format!("\x1b[1;36m{prompt}\x1b[0m"))
    }
}

impl Hinter for Paths {
    type Hint = String;
}

impl Validator for Paths {}

impl Helper for Paths {}
