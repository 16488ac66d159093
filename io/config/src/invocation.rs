//! What a server was started with: a file, the old form with a port and a directory, or nothing.

use std::path::PathBuf;

use crate::error::{ConfigError, Location};

/// The arguments of a server, without options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// No configuration: standalone on 127.0.0.1:2181, data in `./zabra-data`.
    Nothing,
    /// A `zoo.cfg`.
    File(PathBuf),
    /// The form of old: `port dataDir [tickTime [maxClientCnxns]]`.
    PortAndDir {
        /// The client port.
        port: u16,
        /// The data directory.
        data_dir: String,
        /// The tick in ms; 3000 if not given.
        tick_time: Option<i32>,
        /// Connections per client address; no limit if not given.
        max_client_cnxns: Option<i32>,
    },
}

/// How a server is called, for messages.
pub const USAGE: &str =
    "zabra server [-Dname=value ...] [CONFIG | PORT DATADIR [TICKTIME [MAXCNXNS]]]";

impl Invocation {
    /// Reads the arguments that remain when options are taken away.
    pub fn from_args<S: AsRef<str>>(args: &[S]) -> Result<Self, ConfigError> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let wrong = |what: String| {
            ConfigError::new(Some(Location::Argument), what, format!("usage: {USAGE}"))
        };
        match args.as_slice() {
            [] => Ok(Self::Nothing),
            [file] => Ok(Self::File(PathBuf::from(file))),
            [port, data_dir, numbers @ ..] if numbers.len() <= 2 => {
                let number = |text: &str| {
                    text.parse::<i32>()
                        .map_err(|_| wrong(format!("\"{text}\" is not a number")))
                };
                let port = port
                    .parse()
                    .map_err(|_| wrong(format!("\"{port}\" is not a port")))?;
                let tick_time = numbers.first().map(|text| number(text)).transpose()?;
                let max_client_cnxns = numbers.get(1).map(|text| number(text)).transpose()?;
                Ok(Self::PortAndDir {
                    port,
                    data_dir: (*data_dir).to_owned(),
                    tick_time,
                    max_client_cnxns,
                })
            }
            _ => Err(wrong(format!("{} arguments are too many", args.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_argument_is_a_file_and_two_to_four_are_port_and_directory() {
        assert_eq!(Invocation::from_args::<&str>(&[]), Ok(Invocation::Nothing));
        assert_eq!(
            Invocation::from_args(&["zoo.cfg"]),
            Ok(Invocation::File("zoo.cfg".into()))
        );
        let old = Invocation::from_args(&["2181", "/data", "2000", "10"]).expect("old form");
        let expected = Invocation::PortAndDir {
            port: 2181,
            data_dir: "/data".to_owned(),
            tick_time: Some(2000),
            max_client_cnxns: Some(10),
        };
        assert_eq!(old, expected);
    }

    #[test]
    fn wrong_arguments_end_with_the_usage_and_code_2() {
        for args in [
            &["x", "/data"][..],
            &["70000", "/d"],
            &["1", "/d", "x"],
            &["1", "/d", "2", "3", "4"],
        ] {
            let error = Invocation::from_args(args).expect_err("wrong");
            assert!(error.to_string().contains("usage: zabra server"), "{error}");
            assert_eq!(error.exit().code(), 2);
        }
    }
}
