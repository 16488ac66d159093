//! Where output goes: text on standard output and standard error, or JSON values; with events of watches between.
//!
//! Standard output that nobody reads any more (`| head`) is no error: the rest is dropped, and the shell ends after the
//! running command.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use rustyline::ExternalPrinter;
use serde_json::Value;

use crate::text;

/// How errors look on a terminal.
const ERROR: Style = AnsiColor::Red.on_default();

/// The line editor's way of printing above its prompt.
type Printer = Box<dyn ExternalPrinter + Send>;

/// Output of one shell.
pub(crate) struct Screen {
    json: bool,
    /// Whether standard output is a terminal.
    terminal: bool,
    /// Present in a terminal session: prints without breaking the prompt.
    printer: Mutex<Option<Printer>>,
    /// Standard output has gone.
    gone: AtomicBool,
}

impl Screen {
    /// Output as text, or as JSON values.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            terminal: io::stdout().is_terminal(),
            printer: Mutex::new(None),
            gone: AtomicBool::new(false),
        }
    }

    /// From now on events are printed above the prompt.
    pub(crate) fn set_printer(&self, printer: Printer) {
        *self.printer.lock().unwrap_or_else(PoisonError::into_inner) = Some(printer);
    }

    /// Whether this is a session at a terminal.
    pub(crate) fn has_prompt(&self) -> bool {
        self.printer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Whether results are JSON values.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// A line of a result, on standard output; nothing when results are JSON.
    pub(crate) fn say(&self, line: &str) {
        if self.json {
            return;
        }
        if self.terminal {
            self.print(&text::without_controls(line));
        } else {
            self.print(line);
        }
    }

    /// A line of a result that Apache's shell prints on standard error; nothing when results are JSON.
    pub(crate) fn note(&self, line: &str) {
        if !self.json {
            self.complain(line);
        }
    }

    /// A line on standard error, in any case.
    #[expect(clippy::unused_self, reason = "output has one place")]
    pub(crate) fn complain(&self, line: &str) {
        // There is no place to tell that standard error is gone.
        let _ = writeln!(anstream::stderr(), "{line}");
    }

    /// The end of a command that failed.
    pub(crate) fn fail(&self, line: &str) {
        if self.terminal {
            let line = text::without_controls(line);
            let _ = writeln!(anstream::stderr(), "{ERROR}{line}{ERROR:#}");
        } else {
            self.complain(line);
        }
    }

    /// The result of a command; nothing when results are text.
    pub(crate) fn value(&self, value: &Value) {
        if self.json {
            self.print(&value.to_string());
        }
    }

    /// What happened meanwhile: above the prompt, if there is one.
    pub(crate) fn event(&self, text: &str, value: &Value) {
        let line = if self.json {
            value.to_string()
        } else {
            text.to_owned()
        };
        let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        match printer.as_mut() {
            // The printer is gone with the line editor, at the end of the program.
            Some(printer) => drop(printer.print(format!("{}\n", text::without_controls(&line)))),
            None => self.print(&line),
        }
    }

    fn print(&self, line: &str) {
        let mut out = io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
    }
}
