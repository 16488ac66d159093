//! Values as JSON, for programs.
//!
//! Zxids and session ids are text in hex, since JSON's readers have 53 bits; data is text where it is UTF-8, else
//! base64 under another name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zabra_proto::{Acl, Perms, Stat};

use crate::text;

/// A Stat.
pub(crate) fn stat(stat: &Stat) -> Value {
    json!({
        "czxid": hex(stat.czxid),
        "mzxid": hex(stat.mzxid),
        "pzxid": hex(stat.pzxid),
        "ctime": stat.ctime,
        "mtime": stat.mtime,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeralOwner": hex(stat.ephemeral_owner),
        "dataLength": stat.data_length,
        "numChildren": stat.num_children,
    })
}

/// A number that has its meaning in hex.
pub(crate) fn hex(number: i64) -> String {
    format!("{number:#x}")
}

/// Puts data under `data`, or under `dataBase64` if it is no text; `null` for none.
pub(crate) fn put_data(object: &mut Map<String, Value>, data: Option<&[u8]>) {
    let (key, value) = match data.map(|data| (data, std::str::from_utf8(data))) {
        None => ("data", Value::Null),
        Some((_, Ok(text))) => ("data", json!(text)),
        Some((data, Err(_))) => ("dataBase64", json!(STANDARD.encode(data))),
    };
    object.insert(key.to_owned(), value);
}

/// The data that [`put_data`] put.
pub(crate) fn take_data(object: &Map<String, Value>) -> Result<Option<Vec<u8>>, String> {
    if let Some(encoded) = object.get("dataBase64") {
        let encoded = encoded.as_str().ok_or("dataBase64 is no text")?;
        let data = STANDARD
            .decode(encoded)
            .map_err(|error| format!("dataBase64: {error}"))?;
        return Ok(Some(data));
    }
    match object.get("data") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone().into_bytes())),
        Some(_) => Err("data is no text".to_owned()),
    }
}

/// An ACL.
pub(crate) fn acl(entries: &[Acl<'_>]) -> Value {
    let entries = entries.iter().map(|entry| {
        json!({ "scheme": entry.scheme, "id": entry.id, "perms": text::perms(entry.perms) })
    });
    Value::Array(entries.collect())
}

/// The ACL that [`acl`] wrote.
pub(crate) fn read_acl(value: &Value) -> Result<Vec<Acl<'static>>, String> {
    let entries = value.as_array().ok_or("acl is no list")?;
    entries.iter().map(read_entry).collect()
}

fn read_entry(value: &Value) -> Result<Acl<'static>, String> {
    let field = |name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.ok_or_else(|| format!("an entry of the acl has no {name}"))
    };
    let mut perms = Perms::default();
    for letter in field("perms")?.chars() {
        perms = perms
            | match letter {
                'r' => Perms::READ,
                'w' => Perms::WRITE,
                'c' => Perms::CREATE,
                'd' => Perms::DELETE,
                'a' => Perms::ADMIN,
                _ => return Err(format!("{letter:?} is no permission")),
            };
    }
    Ok(Acl {
        perms,
        scheme: field("scheme")?.to_owned().into(),
        id: field("id")?.to_owned().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_back_as_it_was() {
        for data in [None, Some(&b""[..]), Some(b"text"), Some(&[0xff, 0])] {
            let mut object = Map::new();
            put_data(&mut object, data);
            assert_eq!(take_data(&object), Ok(data.map(<[u8]>::to_vec)));
        }
    }

    #[test]
    fn an_acl_comes_back_as_it_was() {
        let entries = vec![Acl::world(Perms::READ | Perms::ADMIN)];
        assert_eq!(read_acl(&acl(&entries)), Ok(entries));
    }

    #[test]
    fn what_is_no_data_or_acl_is_refused() {
        let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        assert!(take_data(&object(r#"{"data": 5}"#)).is_err());
        assert!(take_data(&object(r#"{"dataBase64": "!"}"#)).is_err());
        assert!(read_acl(&json!([{"scheme": "world", "id": "anyone", "perms": "x"}])).is_err());
        assert!(read_acl(&json!([{"scheme": "world", "perms": "r"}])).is_err());
    }
}
