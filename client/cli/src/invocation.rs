//! The command line of the program: Apache's options, ours, and the command to run at once.

use std::time::Duration;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// Servers and chroot.
    pub(crate) server: String,
    /// The session timeout to ask for.
    pub(crate) timeout: Duration,
    /// Whether a server that lost its quorum will do.
    pub(crate) read_only: bool,
    /// A file with properties of the client.
    pub(crate) client_configuration: Option<String>,
    /// Wait for the connection before anything else.
    pub(crate) wait_for_connection: bool,
    /// One JSON value per command instead of text.
    pub(crate) json: bool,
    /// Nothing but the results of commands and the events of watches on znodes.
    pub(crate) quiet: bool,
    /// Explain the program and end.
    pub(crate) help: bool,
    /// The command to run at once; none means the commands of standard input.
    pub(crate) command: Vec<String>,
    /// What was not understood, to be said on standard error. The program goes on, as Apache's does.
    pub(crate) complaints: Vec<String>,
}

impl Default for Invocation {
    fn default() -> Self {
        Self {
            server: "localhost:2181".to_owned(),
            timeout: Duration::from_secs(30),
            read_only: false,
            client_configuration: None,
            wait_for_connection: false,
            json: false,
            quiet: false,
            help: false,
            command: Vec::new(),
            complaints: Vec::new(),
        }
    }
}

impl Invocation {
    /// Reads the arguments behind the program's name.
    ///
    /// # Errors
    /// A timeout that is no number of milliseconds.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut asked = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if !arg.starts_with('-') {
                asked.command = std::iter::once(arg).chain(args).collect();
                break;
            }
            // Apache's options have one hyphen; the form with two means the same.
            let name = arg.strip_prefix("--").unwrap_or(&arg[1..]);
            let (name, joined) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let value = || joined.or_else(|| args.next());
            match name {
                "server" | "timeout" | "client-configuration" => {
                    let Some(value) = value() else {
                        let complaint = format!("Error: no argument found for option {arg}");
                        asked.complaints.push(complaint);
                        break;
                    };
                    asked.set(name, value)?;
                }
                "r" => asked.read_only = true,
                "waitforconnection" => asked.wait_for_connection = true,
                "json" | "j" => asked.json = true,
                "quiet" | "q" => asked.quiet = true,
                "help" | "h" | "?" => asked.help = true,
                _ => asked
                    .complaints
                    .push(format!("Unknown option {arg} is ignored")),
            }
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "server" => self.server = value,
            "client-configuration" => self.client_configuration = Some(value),
            _ => {
                // The protocol has 31 bits for it.
                let millis: Option<u32> = value.parse().ok().filter(|millis| *millis < 1 << 31);
                let millis = millis.ok_or_else(|| {
                    format!("Error: -timeout takes a number of milliseconds, not {value}")
                })?;
                self.timeout = Duration::from_millis(millis.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Invocation {
        Invocation::parse(crate::words::split(line)).unwrap()
    }

    #[test]
    fn options_come_before_the_command() {
        let asked = parse("-server h:1/a -timeout 500 -r -waitforconnection ls -R / -server");
        assert_eq!(asked.server, "h:1/a");
        assert_eq!(asked.timeout, Duration::from_millis(500));
        assert!(asked.read_only && asked.wait_for_connection && !asked.json);
        assert_eq!(asked.command, ["ls", "-R", "/", "-server"]);
        assert!(asked.complaints.is_empty());
    }

    #[test]
    fn two_hyphens_mean_the_same() {
        let asked = parse("--server h:1 --json");
        assert_eq!(asked.server, "h:1");
        assert!(asked.json && parse("-j").json);
    }

    #[test]
    fn a_value_may_follow_its_option_at_once() {
        let asked = parse("--server=h:1/a=b -timeout=500 ls /");
        assert_eq!(asked.server, "h:1/a=b");
        assert_eq!(asked.timeout, Duration::from_millis(500));
        assert!(asked.complaints.is_empty());
    }

    #[test]
    fn an_option_without_its_value_is_named_and_the_defaults_stay() {
        let asked = parse("-r -server");
        assert!(asked.read_only);
        assert_eq!(asked.server, "localhost:2181");
        assert_eq!(
            asked.complaints,
            ["Error: no argument found for option -server"]
        );
    }

    #[test]
    fn unknown_options_are_passed_over() {
        let asked = parse("-foo version");
        assert_eq!(asked.command, ["version"]);
        assert_eq!(asked.complaints, ["Unknown option -foo is ignored"]);
    }

    #[test]
    fn a_timeout_is_a_number() {
        let parse = |text: &str| Invocation::parse(["-timeout".to_owned(), text.to_owned()]);
        assert!(parse("abc").is_err() && parse("-1").is_err() && parse("2147483648").is_err());
        assert!(parse("2147483647").is_ok());
    }
}
