//! A txn in one line, as Apache's 3.9 prints it.

use zabra_jute::{Limits, Reader};
use zabra_proto::txn::Payload;
use zabra_proto::{Acl, Txn};

use super::date::Date;

/// The line of a record's payload, always with a line feed at its end.
#[must_use]
pub fn txn_line(payload: &[u8]) -> String {
    // Field by field, so that a txn of unknown type still shows where it is from.
    let mut r = Reader::new(payload);
    let session = r.i64().unwrap_or_default();
    let cxid = r.i32().unwrap_or_default();
    let zxid = r.i64().unwrap_or_default();
    let time = r.i64().unwrap_or_default();
    let op = r.i32().unwrap_or_default();
    let text = match Payload::decode(
        payload,
        Limits {
            value_len_max: payload.len(),
        },
    ) {
        Ok(decoded) => txn_text(&decoded.txn),
        Err(e) => format!("cannot be decoded: {e}"),
    };
    let line = format!(
        "{} session {session:#x} cxid {cxid:#x} zxid {zxid:#x} {} {text}",
        Date::from_millis(time).short(),
        op_name(op)
    );
    if line.ends_with('\n') {
        line
    } else {
        line + "\n"
    }
}

fn txn_text(txn: &Txn<'_>) -> String {
    let acl_list = |acl: &Option<Vec<Acl<'_>>>| match acl {
        Some(acl) => format!(
            "[{}]",
            acl.iter()
                .map(|a| acl_text(a) + "\n")
                .collect::<Vec<_>>()
                .join(", ")
        ),
        None => "null".to_owned(),
    };
    match txn {
        Txn::CreateSession(t) => t.timeout_ms.to_string(),
        Txn::CloseSession(None) => String::new(),
        Txn::CloseSession(Some(t)) => {
            let paths: Vec<String> = t.paths.iter().map(|p| quoted(p)).collect();
            format!("v{{{}}}", paths.join(","))
        }
        Txn::Error(code) => code.code().to_string(),
        Txn::Create(t) | Txn::Create2(t) => {
            let (data, acl) = (data_text(t.data), acl_list(&t.acl));
            format!(
                "{},{data},{acl},{},{}",
                t.path, t.ephemeral, t.parent_cversion
            )
        }
        Txn::CreateContainer(t) => {
            format!(
                "{},{},{},{}",
                t.path,
                data_text(t.data),
                acl_list(&t.acl),
                t.parent_cversion
            )
        }
        Txn::CreateTtl(t) => {
            let (data, acl) = (data_text(t.data), acl_list(&t.acl));
            format!("{},{data},{acl},{},{}", t.path, t.parent_cversion, t.ttl)
        }
        Txn::Delete(t) | Txn::DeleteContainer(t) => quoted(&t.path),
        Txn::SetData(t) | Txn::Reconfig(t) => {
            format!("{},{},{}", t.path, data_text(t.data), t.version)
        }
        Txn::SetAcl(t) => {
            let acl: Vec<String> = t
                .acl
                .iter()
                .flatten()
                .map(|a| format!("s{{{}}}", acl_text(a)))
                .collect();
            format!("{},v{{{}}},{}", quoted(&t.path), acl.join(","), t.version)
        }
        Txn::Check(t) => format!("{},{}", quoted(&t.path), t.version),
        Txn::Multi(elements) => elements
            .iter()
            .map(element_text)
            .collect::<Vec<_>>()
            .join(";"),
    }
}

/// An element of a multi is printed as the bytes that it is.
fn element_text(txn: &Txn<'_>) -> String {
    let mut body = Vec::new();
    txn.encode_body(&mut body);
    format!(
        "{}:{}",
        op_name(txn.kind().code()),
        String::from_utf8_lossy(&body)
    )
}

fn data_text(data: Option<&[u8]>) -> String {
    String::from_utf8_lossy(data.unwrap_or_default()).into_owned()
}

fn acl_text(acl: &Acl<'_>) -> String {
    format!(
        "{},s{{{},{}}}",
        acl.perms.0,
        quoted(&acl.scheme),
        quoted(&acl.id)
    )
}

/// A string of a jute record in text form.
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\0' => out.push_str("%00"),
            '\n' => out.push_str("%0A"),
            '\r' => out.push_str("%0D"),
            ',' => out.push_str("%2C"),
            '}' => out.push_str("%7D"),
            '%' => out.push_str("%25"),
            c => out.push(c),
        }
    }
    out
}

fn op_name(op: i32) -> String {
    let name = match op {
        -11 => "closeSession",
        -10 => "createSession",
        -1 => "error",
        1 => "create",
        2 => "delete",
        5 => "setData",
        7 => "setACL",
        13 => "check",
        14 => "multi",
        15 => "create2",
        16 => "reconfig",
        19 => "createContainer",
        20 => "deleteContainer",
        21 => "createTTL",
        other => return format!("unknown {other}"),
    };
    name.to_owned()
}
