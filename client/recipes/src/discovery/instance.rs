//! One instance of a service, and the JSON that it is published as: Curator's, field by field.

use serde::{Deserialize, Serialize};

use super::uri_spec::UriSpec;

/// How long an instance stays published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceType {
    /// As long as the session that published it.
    #[default]
    Dynamic,
    /// Until it is taken back.
    Static,
    /// Until it is taken back; not taken back when its publisher stops.
    Permanent,
    /// As long as the session, under a name with a number behind the id.
    DynamicSequential,
}

/// One instance of a service.
///
/// ```
/// use zabra_recipes::discovery::ServiceInstance;
/// let mut instance = ServiceInstance::new("search", "one", 1_700_000_000_000);
/// instance.address = Some("10.0.0.7".to_owned());
/// instance.port = Some(8_080);
/// let json = instance.to_json();
/// assert_eq!(ServiceInstance::from_json(&json).unwrap(), instance);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInstance {
    /// The service.
    pub name: String,
    /// Which of its instances; unique among them, and the name of the znode.
    pub id: String,
    /// Host name or IP address.
    #[serde(default)]
    pub address: Option<String>,
    /// Port without TLS.
    #[serde(default)]
    pub port: Option<i32>,
    /// Port with TLS.
    #[serde(default)]
    pub ssl_port: Option<i32>,
    /// Anything else about it. Curator reads an object only if it has an `@class` that it knows.
    #[serde(default)]
    pub payload: Option<serde_json::Value>,
    /// When it was published, ms since 1970.
    #[serde(rename = "registrationTimeUTC", default)]
    pub registration_time_utc: i64,
    /// How long it stays published.
    #[serde(default)]
    pub service_type: ServiceType,
    /// How its URI is put together.
    #[serde(default)]
    pub uri_spec: Option<UriSpec>,
    /// Whether it wants to be asked. Written only when it does not, as older versions of Curator refuse to read this field.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

impl ServiceInstance {
    /// An instance that nothing more is known of, published at a time, ms since 1970.
    #[must_use]
    pub fn new(name: &str, id: &str, registration_time_utc: i64) -> Self {
        Self {
            name: name.to_owned(),
            id: id.to_owned(),
            address: None,
            port: None,
            ssl_port: None,
            payload: None,
            registration_time_utc,
            service_type: ServiceType::Dynamic,
            uri_spec: None,
            enabled: true,
        }
    }

    /// What its znode holds.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // A struct of strings and numbers always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From what a znode holds. Unknown fields are passed over.
    ///
    /// # Errors
    /// It is not an instance's JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Its URI, if it says how that is put together.
    #[must_use]
    pub fn uri(&self) -> Option<String> {
        self.uri_spec.as_ref().map(|spec| spec.build(self))
    }
}

const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference over"
)]
const fn is_yes(enabled: &bool) -> bool {
    *enabled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_what_curator_writes() {
        let mut instance = ServiceInstance::new("search", "i-1", 1_325_129_459_728);
        instance.address = Some("10.20.30.40".to_owned());
        instance.port = Some(1_234);
        instance.payload = Some("thing".into());
        let json = concat!(
            r#"{"name":"search","id":"i-1","address":"10.20.30.40","port":1234,"sslPort":null,"payload":"thing","#,
            r#""registrationTimeUTC":1325129459728,"serviceType":"DYNAMIC","uriSpec":null}"#
        );
        assert_eq!(String::from_utf8(instance.to_json()).unwrap(), json);
        assert_eq!(
            ServiceInstance::from_json(json.as_bytes()).unwrap(),
            instance
        );
    }

    #[test]
    fn fields_of_newer_versions_are_read_and_passed_over() {
        let json = br#"{"name":"n","id":"i","enabled":false,"serviceType":"DYNAMIC_SEQUENTIAL","futureField":[1,2]}"#;
        let instance = ServiceInstance::from_json(json).unwrap();
        assert!(!instance.enabled);
        assert_eq!(instance.service_type, ServiceType::DynamicSequential);
        assert!(
            String::from_utf8(instance.to_json())
                .unwrap()
                .ends_with(r#""enabled":false}"#)
        );
    }

    #[test]
    fn what_is_no_instance_is_refused() {
        for json in ["", "{}", "[]", r#"{"name":1,"id":"x"}"#] {
            assert!(
                ServiceInstance::from_json(json.as_bytes()).is_err(),
                "{json}"
            );
        }
    }
}
