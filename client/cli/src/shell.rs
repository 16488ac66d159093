//! The shell: takes lines, runs commands, remembers how the last one ended.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use zabra_client::Client;
use zabra_proto::ErrorCode;

use crate::command::{self, Command};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::history::History;
use crate::invocation::Invocation;
use crate::run::{self, Context, Done};
use crate::screen::Screen;
use crate::session::Session;
use crate::watches::Watches;
use crate::{reach, usage, words};

/// The client of the present session, for who completes paths.
pub(crate) type Present = Arc<Mutex<Option<Client>>>;

/// What comes after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The next one.
    Continue,
    /// The end of the shell.
    Quit,
}

/// A shell.
pub(crate) struct Shell {
    asked: Invocation,
    configuration: Configuration,
    version: String,
    /// Where it goes, for the prompt and for `connect`.
    host: String,
    screen: Arc<Screen>,
    watches: Watches,
    session: Option<Session>,
    present: Present,
    history: History,
    zone: TimeZone,
    exit: u8,
    /// Whether it was said why there is no server.
    told_why: Cell<bool>,
}

impl Shell {
    /// A shell without a session.
    pub(crate) fn new(
        asked: Invocation,
        configuration: Configuration,
        version: &str,
        screen: Arc<Screen>,
    ) -> Self {
        Self {
            host: asked.server.clone(),
            asked,
            configuration,
            version: version.to_owned(),
            watches: Watches::new(Arc::clone(&screen)),
            screen,
            session: None,
            present: Present::default(),
            history: History::default(),
            zone: TimeZone::system(),
            exit: 0,
            told_why: Cell::new(false),
        }
    }

    /// The exit code of the last command.
    pub(crate) const fn exit(&self) -> u8 {
        self.exit
    }

    /// The client of the present session.
    pub(crate) fn present(&self) -> Present {
        Arc::clone(&self.present)
    }

    /// What stands before the cursor.
    pub(crate) fn prompt(&self) -> String {
        let state = self.session.as_ref().map_or("CLOSED", Session::state_name);
        format!("[zk: {}({state}) {}] ", self.host, self.history.next())
    }

    /// Ends a session if there is one, and begins another.
    ///
    /// # Errors
    /// `host` is no list of servers.
    pub(crate) async fn connect(&mut self, host: &str) -> Result<(), Failure> {
        self.close(true).await;
        host.clone_into(&mut self.host);
        let watches = self.watches.clone();
        let session = Session::start(host, &self.asked, &self.configuration, watches)
            .map_err(|error| Failure::text(error.to_string()))?;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.client.clone());
        self.session = Some(session);
        Ok(())
    }

    /// Waits for a server, at most for the session timeout. `true` if one serves the session.
    pub(crate) async fn await_server(&self) -> bool {
        let rest = self.asked.timeout.saturating_sub(SILENCE);
        self.await_for(SILENCE).await || self.await_for(rest).await
    }

    /// Waits for a server, and says why there is none after so much time, once. `true` if one serves the session.
    pub(crate) async fn await_for(&self, limit: Duration) -> bool {
        let Some(session) = &self.session else {
            return false;
        };
        let is_served = session.await_server(limit.min(self.asked.timeout)).await;
        if is_served || !session.is_alive() {
            self.told_why.set(false);
        } else if !self.told_why.replace(true) {
            let lines = reach::why(&self.host).await;
            self.screen
                .complain(&format!("No server yet; {}", lines.join(", ")));
        }
        is_served
    }

    /// Ends the session.
    pub(crate) async fn close(&mut self, tell: bool) {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(session) = self.session.take() {
            session.close(tell).await;
        }
    }

    /// Does what a line says; nothing for an empty one.
    pub(crate) async fn line(&mut self, line: &str) -> Flow {
        let words = words::split(line);
        if words.is_empty() {
            return Flow::Continue;
        }
        self.history.push(line);
        self.run(&words).await
    }

    /// Runs a command given as words.
    pub(crate) async fn words(&mut self, words: &[String]) -> Flow {
        let quoted: Vec<String> = words.iter().map(|word| words::quoted(word)).collect();
        self.history.push(&quoted.join(" "));
        self.run(words).await
    }

    /// The running command was interrupted.
    pub(crate) fn interrupted(&mut self) {
        self.exit = INTERRUPTED;
    }

    async fn run(&mut self, words: &[String]) -> Flow {
        if let Some("quit" | "exit") = words.first().map(String::as_str) {
            self.close(true).await;
            return Flow::Quit;
        }
        match self.command(words).await {
            Ok(value) => {
                self.exit = 0;
                if !value.is_null() {
                    self.screen.value(&value);
                }
            }
            Err(failure) => {
                self.exit = failure.exit;
                if self.screen.is_json() {
                    self.screen.value(&failure.to_json());
                } else {
                    self.screen.fail(&failure.text);
                }
            }
        }
        Flow::Continue
    }

    async fn command(&mut self, words: &[String]) -> Done {
        let name = words.first().map_or("", String::as_str);
        let Some(command) = command::find(name) else {
            if !self.screen.has_prompt() {
                self.screen.note(&usage::all());
            }
            return Err(self.unknown(name));
        };
        let own = match name {
            "help" | "?" | "h" => return self.help(words.get(1)),
            "redo" if words.len() < 2 && self.screen.has_prompt() => {
                return Err(Failure::usage(command));
            }
            "redo" if words.len() > 1 => return self.redo(&words[1]).await,
            "history" => self.show_history(),
            "printwatches" => self.print_watches(words.get(1)).await,
            "connect" => {
                let host = words.get(1).cloned().unwrap_or_else(|| self.host.clone());
                self.connect(&host).await?;
                json!({ "connecting": host })
            }
            _ => Value::Null,
        };
        let Some(session) = self.session.as_ref().filter(|session| session.is_alive()) else {
            self.screen.say("Not connected");
            return Ok(json!({ "connected": false }));
        };
        if !own.is_null() {
            return Ok(own);
        }
        if name == "close" {
            self.close(true).await;
            return Ok(json!({ "closed": true }));
        }
        let given = run::read(command, words)?;
        if needs_server(command) && !self.await_server().await && session.is_alive() {
            // Apache's client has the code -4 for it.
            let path = words.iter().find(|word| word.starts_with('/'));
            let path = path.map(String::as_str);
            return Err(Failure::refused(ErrorCode::from_code(-4), path));
        }
        let context = Context {
            client: &session.client,
            screen: &self.screen,
            zone: &self.zone,
            watches: &self.watches,
            version: &self.version,
        };
        run::run(&context, command, &given).await
    }

    fn unknown(&self, name: &str) -> Failure {
        if self.screen.has_prompt() {
            Failure::unknown_with_advice(name)
        } else {
            Failure::unknown(name)
        }
    }

    fn help(&self, name: Option<&String>) -> Done {
        let Some(name) = name else {
            self.screen.say(&usage::overview());
            let names: Vec<&str> = command::COMMANDS
                .iter()
                .map(|command| command.name)
                .collect();
            return Ok(json!({ "commands": names }));
        };
        let command = command::find(name).ok_or_else(|| self.unknown(name))?;
        self.screen.say(&usage::help(command));
        Ok(json!({ "command": command.name, "syntax": command.syntax, "help": command.help }))
    }

    async fn redo(&mut self, number: &str) -> Done {
        let digits = number.strip_prefix("0x");
        let parsed =
            digits.map_or_else(|| number.parse(), |digits| i64::from_str_radix(digits, 16));
        let Ok(number) = parsed else {
            return Err(Failure::text(format!("{number} is no number of a command")));
        };
        let Some(line) = self.history.earlier(number).map(str::to_owned) else {
            return Err(Failure::text("Command index out of range"));
        };
        let words = words::split(&line);
        if words.first().is_some_and(|name| name == "redo") {
            return Err(Failure::text("No redoing redos"));
        }
        self.history.replace_running(&line);
        Box::pin(self.command(&words)).await
    }

    fn show_history(&self) -> Value {
        let mut commands = Vec::new();
        for (number, line) in self.history.shown() {
            self.screen.say(&format!("{number} - {line}"));
            commands.push(json!({ "number": number, "command": line }));
        }
        json!({ "history": commands })
    }

    async fn print_watches(&self, word: Option<&String>) -> Value {
        match word {
            None => {
                let state = if self.watches.is_on() { "on" } else { "off" };
                self.screen.say(&format!("printwatches is {state}"));
            }
            Some(word) => {
                self.watches.flush().await;
                self.watches.set_on(word == "on");
            }
        }
        json!({ "printwatches": self.watches.is_on() })
    }
}

/// Whether a command asks a server at all.
fn needs_server(command: &Command) -> bool {
    !matches!(command.name, "version" | "redo")
}

/// How long a command waits for a server without a word.
const SILENCE: Duration = Duration::from_secs(3);

/// What shells report for a command that was interrupted.
const INTERRUPTED: u8 = 130;
