//! The file of `-client-configuration`: Java properties of Apache's client.
//!
//! What this client can do is taken over; what would change who can listen in or log in, and cannot be done, is refused;
//! the rest has no meaning here and is passed over, as unknown properties are by Apache's client.

use std::time::Duration;

/// What a file asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Configuration {
    /// How long a request may wait for its reply.
    pub(crate) request_timeout: Option<Duration>,
}

impl Configuration {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or asks for what the client cannot do.
    pub(crate) fn read(file: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("Error while reading the client configuration {file}: {error}")
        })?;
        Self::parse(&text)
            .map_err(|error| format!("Error in the client configuration {file}: {error}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut configuration = Self::default();
        for (key, value) in text.lines().filter_map(property) {
            match key {
                "zookeeper.client.secure" if value.eq_ignore_ascii_case("true") => {
                    return Err(format!("{key}=true: the shell has no TLS"));
                }
                "zookeeper.request.timeout" => {
                    let millis: u64 = value
                        .parse()
                        .map_err(|_| format!("{key}={value} is not a number of milliseconds"))?;
                    // Apache's word for no limit is 0.
                    let limit = (millis > 0).then(|| Duration::from_millis(millis));
                    configuration.request_timeout = limit;
                }
                _ => {}
            }
        }
        Ok(configuration)
    }
}

fn property(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', '!']) {
        return None;
    }
    let (key, value) = line.split_once(['=', ':'])?;
    Some((key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_properties_are_taken_over() {
        let text = "# comment\nzookeeper.request.timeout = 500\nzookeeper.sasl.client: false\nx\n";
        let timeout = Some(Duration::from_millis(500));
        assert_eq!(Configuration::parse(text).unwrap().request_timeout, timeout);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert!(Configuration::parse("zookeeper.client.secure=true").is_err());
        assert!(Configuration::parse("zookeeper.client.secure=false").is_ok());
        assert!(Configuration::parse("zookeeper.request.timeout=soon").is_err());
        assert!(Configuration::read("/nonexistent").is_err());
    }
}
