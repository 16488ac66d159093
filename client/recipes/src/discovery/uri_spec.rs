//! How the URI of an instance is put together: text with variables in braces, as Curator's `UriSpec`.

use serde::{Deserialize, Serialize};

use super::instance::{ServiceInstance, ServiceType};

/// A pattern such as `{scheme}://{address}:{port}/path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UriSpec {
    parts: Vec<Part>,
}

/// Literal text or the name of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    value: String,
    variable: bool,
}

impl UriSpec {
    /// From a pattern. Variables are `scheme`, `name`, `id`, `address`, `port`, `ssl-port`, `registration-time-utc` and
    /// `service-type`; `{[}` and `{]}` are braces themselves.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let mut parts = Vec::new();
        let mut push = |value: &str, variable| {
            if !value.is_empty() {
                parts.push(Part {
                    value: value.to_owned(),
                    variable,
                });
            }
        };
        let mut rest = pattern;
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, tail)) = behind.split_once('}') else {
                break;
            };
            push(before, false);
            push(name.trim(), true);
            rest = tail;
        }
        push(rest, false);
        Self { parts }
    }

    /// The URI of an instance; a variable that it does not have is left out.
    #[must_use]
    pub fn build(&self, instance: &ServiceInstance) -> String {
        let text = |part: &Part| {
            if part.variable {
                variable(instance, &part.value)
            } else {
                part.value.clone()
            }
        };
        self.parts.iter().map(text).collect()
    }
}

fn variable(instance: &ServiceInstance, name: &str) -> String {
    let number = |port: Option<i32>| port.map(|port| port.to_string()).unwrap_or_default();
    match name {
        "[" => "{".to_owned(),
        "]" => "}".to_owned(),
        "scheme" if instance.ssl_port.is_some() => "https".to_owned(),
        "scheme" => "http".to_owned(),
        "name" => instance.name.clone(),
        "id" => instance.id.clone(),
        "address" => instance.address.clone().unwrap_or_default(),
        "port" => number(instance.port),
        "ssl-port" => number(instance.ssl_port),
        "registration-time-utc" => instance.registration_time_utc.to_string(),
        "service-type" => match instance.service_type {
            ServiceType::Dynamic => "dynamic",
            ServiceType::Static => "static",
            ServiceType::Permanent => "permanent",
            ServiceType::DynamicSequential => "dynamic_sequential",
        }
        .to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> ServiceInstance {
        let mut instance = ServiceInstance::new("foo", "bar", 7);
        instance.address = Some("host".to_owned());
        instance.port = Some(80);
        instance
    }

    #[test]
    fn a_pattern_becomes_a_uri() {
        let spec = UriSpec::new("{scheme}://{address}:{port}/{name}/{id}?{[}{]}{unknown}");
        assert_eq!(spec.build(&instance()), "http://host:80/foo/bar?{}");
    }

    #[test]
    fn the_scheme_follows_from_the_port() {
        let mut secure = instance();
        secure.ssl_port = Some(443);
        assert_eq!(
            UriSpec::new("{scheme}:{ssl-port}").build(&secure),
            "https:443"
        );
    }

    #[test]
    fn an_open_brace_without_an_end_is_text() {
        assert_eq!(UriSpec::new("a{b").build(&instance()), "a{b");
    }

    #[test]
    fn the_json_is_what_curator_writes() {
        let json = serde_json::to_string(&UriSpec::new("{scheme}://x")).unwrap();
        assert_eq!(
            json,
            r#"{"parts":[{"value":"scheme","variable":true},{"value":"://x","variable":false}]}"#
        );
    }
}
