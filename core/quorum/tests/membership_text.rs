//! Membership texts: what is read, what is printed, what is refused (quorum 6.1, R14).

use proptest::prelude::*;
use zabra_quorum::{ConfigVersion, HostPort, Membership, MembershipError, Role, Sid, Weight};

fn parse(text: &str) -> Membership {
    Membership::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn why(value: &str) -> &'static str {
    match Membership::parse(&format!("server.1={value}")) {
        Err(MembershipError::Server { why, .. }) => why,
        other => panic!("{value}: {other:?}"),
    }
}

/// The texts of real servers' messages (quorum 21.2, 21.8).
const CAPTURED: [&str; 3] = [
    "server.1=127.0.0.1:31021:31031:participant\nserver.2=127.0.0.1:31022:31032:participant\n\
     server.3=127.0.0.1:31023:31033:participant\nserver.4=127.0.0.1:31024:31034:observer\nversion=0",
    "server.1=127.0.0.1:31021:31031:participant;127.0.0.1:31011\n\
     server.2=127.0.0.1:31022:31032:participant;127.0.0.1:31012\n\
     server.3=127.0.0.1:31023:31033:participant;127.0.0.1:31013\nversion=100000000",
    "server.1=127.0.0.1:31021:31031:participant;127.0.0.1:31011\n\
     server.2=127.0.0.1:31022:31032:participant;127.0.0.1:31012\n\
     server.3=127.0.0.1:31023:31033:participant;127.0.0.1:31013\n\
     server.5=127.0.0.1:31025:31035:observer;127.0.0.1:31015\nversion=100000002",
];

#[test]
fn texts_of_real_servers_are_read_and_printed_byte_for_byte() {
    for text in CAPTURED {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(CAPTURED[0].len(), 178);
    assert_eq!(CAPTURED[1].len(), 194);
    assert_eq!(CAPTURED[2].len(), 250);
}

#[test]
fn a_text_is_read_by_key_and_not_by_position() {
    let members = parse("version=1f\nserver.10=b:1:2:observer\nserver.2=a:1:2:participant");
    assert_eq!(members.version(), ConfigVersion(0x1f));
    assert_eq!(members.role(Sid(10)), Some(Role::Observer));
    assert_eq!(members.voters(), [Sid(2)].into());
    assert!(!members.is_voter(Sid(10)) && !members.is_voter(Sid(3)));
}

#[test]
fn what_is_left_out_has_its_default() {
    let members = parse("server.1=a:1:2;2181");
    let member = members.member(Sid(1)).expect("a member");
    assert_eq!(member.role, Role::Participant);
    assert_eq!(
        member
            .client
            .as_ref()
            .expect("a client address")
            .at
            .to_string(),
        "0.0.0.0:2181"
    );
    assert_eq!(members.version(), ConfigVersion::INITIAL);
    assert_eq!(
        members.to_string(),
        "server.1=a:1:2:participant;0.0.0.0:2181\nversion=0"
    );
}

#[test]
fn roles_are_read_in_any_case() {
    let members = parse("server.1=a:1:2:PARTICIPANT\nserver.2=b:1:2:oBserver");
    assert_eq!(members.role(Sid(2)), Some(Role::Observer));
}

#[test]
fn java_property_syntax_is_legal_on_input() {
    let members =
        parse("# a comment\r\n! another\nserver.1 : a\\:1:2\\\n   :observer\nserver.2\tb:1:2");
    assert_eq!(members.role(Sid(1)), Some(Role::Observer));
    assert_eq!(members.role(Sid(2)), Some(Role::Participant));
}

#[test]
fn the_last_of_several_lines_with_one_key_counts() {
    let members = parse("server.1=a:1:2\nserver.1=b:3:4");
    assert_eq!(
        members.member(Sid(1)).expect("a member").addresses[0].host,
        "b"
    );
}

#[test]
fn ipv6_hosts_stand_in_brackets() {
    let members = parse("server.1=[2001:DB8::1]:2888:3888:participant;[::]:2181");
    let member = members.member(Sid(1)).expect("a member");
    assert_eq!(member.addresses[0].host, "2001:db8:0:0:0:0:0:1");
    // As Java writes them: all eight groups.
    assert_eq!(
        members.to_string(),
        "server.1=[2001:db8:0:0:0:0:0:1]:2888:3888:participant;[0:0:0:0:0:0:0:0]:2181\nversion=0"
    );
    let mapped = parse("server.1=[::ffff:10.0.0.1]:1:2");
    assert_eq!(
        mapped.members()[&Sid(1)].to_string(),
        "10.0.0.1:1:2:participant"
    );
    assert_eq!(parse("server.1=[fe80::1%eth0]:1:2").voters().len(), 1);
}

#[test]
fn several_addresses_are_printed_by_host_with_one_role() {
    let members = parse("server.1=b:3:4:observer|a:1:2:observer\nserver.2=c:1:2");
    assert_eq!(
        members.member(Sid(1)).expect("a member").to_string(),
        "a:1:2|b:3:4:observer"
    );
    assert_eq!(
        why("a:1:2:observer|b:1:2:participant"),
        "the addresses of one server name different roles"
    );
}

#[test]
fn the_secure_client_address_is_the_third_part() {
    for line in ["a:1:2:participant;b:3;c:4", "a:1:2:participant;;c:4"] {
        let members = parse(&format!("server.1={line}"));
        assert_eq!(members.member(Sid(1)).expect("a member").to_string(), line);
    }
    assert_eq!(
        why("a:1:2;3;4;5"),
        "more than three parts between semicolons"
    );
}

#[test]
fn a_client_address_from_the_static_file_is_not_printed() {
    let text = "server.1=a:1:2:participant\nserver.2=b:1:2:participant;b:3\nversion=0";
    let mut members = parse(text);
    let at = |port| HostPort {
        host: "c".to_owned(),
        port,
    };
    members.set_static_client(Sid(1), at(4));
    members.set_static_client(Sid(2), at(5));
    assert_eq!(members.to_string(), text);
    let client = |sid| members.member(sid).and_then(|member| member.client.clone());
    assert_eq!(client(Sid(1)).expect("the static one").at, at(4));
    assert_eq!(client(Sid(2)).expect("its own").at.port, 3);
}

#[test]
fn files_hold_the_lines_sorted_as_text_without_the_version() {
    let members = parse("version=7\nserver.2=b:1:2\nserver.10=a:1:2");
    assert_eq!(
        members.file_lines(),
        ["server.10=a:1:2:participant", "server.2=b:1:2:participant"]
    );
}

#[test]
fn empty_parts_at_the_end_of_a_line_say_nothing() {
    for line in [
        "a:1:2",
        "a:1:2:",
        "a:1:2::",
        "a:1:2;",
        "a:1:2;;;;",
        "a:1:2|",
        "a:1:2:;",
    ] {
        let members = parse(&format!("server.1={line}"));
        assert_eq!(members.members()[&Sid(1)].to_string(), "a:1:2:participant");
    }
}

#[test]
fn an_error_names_the_line_that_is_wrong() {
    for (text, key) in [
        ("server.3=a", Some("server.3")),
        ("server.x=a:1:2", Some("server.x")),
        ("tickTime=1", Some("tickTime")),
        ("server.1=a:1:2\nweight.1=-1", Some("weight.1")),
        ("", None),
    ] {
        let error = Membership::parse(text).expect_err(text);
        assert_eq!(error.key().as_deref(), key, "{text}");
    }
}

#[test]
fn groups_and_weights_are_read_and_printed() {
    let text = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\n\
                group.1=1:2\ngroup.2=3\nweight.1=2\nweight.2=1\nweight.3=0\nversion=a";
    let members = parse(text);
    assert_eq!(members.to_string(), text);
    assert_eq!(members.weight(Sid(1)), Weight(2));
    assert_eq!(members.weight(Sid(9)), Weight(0));
    let by_default = parse(&text.replace("weight.2=1\n", ""));
    assert_eq!(by_default, members);
}

#[test]
fn malformed_server_lines_say_what_is_wrong() {
    let port = "a port is a number from 0 to 65535";
    let host = "not a host name or address";
    for (value, expected) in [
        ("", host),
        ("a", port),
        ("a:1", port),
        ("a:1:65536", port),
        ("a:+1:2", port),
        ("a: 1:2", port),
        ("a:1:2:leader", "a role is participant or observer"),
        (
            "a:1:2:observer:3",
            "must be host:port:port or host:port:port:role",
        ),
        ("a:7:7", "quorum port and election port must differ"),
        (":1:2", host),
        ("a b:1:2", host),
        ("[::1:1:2", "a bracket is opened and not closed"),
        ("[::1]x1:2", "only a colon may follow the closing bracket"),
        ("[a]:1:2", host),
        ("a:1:2;x", port),
        ("a:1:2;b:", port),
    ] {
        assert_eq!(why(value), expected, "{value}");
    }
}

#[test]
fn malformed_texts_are_errors_and_never_partly_used() {
    use MembershipError as E;
    let servers = "server.1=a:1:2\nserver.2=b:1:2";
    let key = |key: &str| E::KeyNumber(key.to_owned());
    for (line, expected) in [
        ("clientPort=2181", E::UnknownKey("clientPort".to_owned())),
        ("oraclePath=/x", E::Oracle),
        ("server.x=a:1:2", key("server.x")),
        ("server.-1=a:1:2", key("server.-1")),
        (
            "server.9223372036854775808=a:1:2",
            key("server.9223372036854775808"),
        ),
        ("version=", E::Version(String::new())),
        ("version=-1", E::Version("-1".to_owned())),
        (
            "version=8000000000000000",
            E::Version("8000000000000000".to_owned()),
        ),
        ("group.1=1", E::NoGroup(Sid(2))),
        ("group.1=1:2\ngroup.2=2", E::SeveralGroups(Sid(2))),
        ("group.1=1:2:3", E::NoWeight(Sid(3))),
        ("weight.1=1", E::NoGroup(Sid(1))),
    ] {
        let parsed = Membership::parse(&format!("{servers}\n{line}"));
        assert_eq!(parsed, Err(expected), "{line}");
    }
    assert_eq!(Membership::parse(""), Err(E::NoParticipant));
    assert_eq!(
        Membership::parse("server.1=a:1:2:observer"),
        Err(E::NoParticipant)
    );
    let long = "#".repeat(zabra_quorum::TEXT_LEN_MAX + 1);
    assert_eq!(Membership::parse(&long), Err(E::TooLong(long.len())));
}

#[test]
fn weights_that_add_up_to_too_much_are_refused() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.1=9223372036854775807\n\
                weight.2=9223372036854775807\nweight.3=9223372036854775807";
    assert_eq!(Membership::parse(text), Err(MembershipError::WeightSum));
}

#[test]
fn configurations_are_compared_by_version_and_then_by_content() {
    let one = parse("server.1=a:1:2\nserver.2=b:1:2\nversion=1");
    let reordered = parse("version=2\nserver.2=b:1:2:PARTICIPANT\nserver.1=a:1:2");
    let other = parse("server.1=a:1:2\nversion=1");
    assert!(one.is_same(&reordered));
    assert!(one.is_same(&other) && !one.has_same_members(&other));
    assert!(!one.is_same(&other.with_version(ConfigVersion(3))));
    let mut from_file = parse("server.1=a:1:2");
    let client = HostPort {
        host: "0.0.0.0".to_owned(),
        port: 3,
    };
    from_file.set_static_client(Sid(1), client);
    assert!(from_file.has_same_members(&parse("server.1=a:1:2;3")));
}

/// Lines that are nearly right.
fn near_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "server.",
        "group.",
        "weight.",
        "version",
        "1",
        "2",
        "3",
        "=",
        ":",
        ";",
        "|",
        "\n",
        "\\",
        "\\u",
        "[",
        "]",
        "::",
        "a",
        "observer",
        "participant",
        "0x",
        " ",
        "#",
        "-",
        "65536",
        "\u{e9}",
        "server.1=a:1:2\n",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = Membership::parse(&text);
    }

    #[test]
    fn what_was_read_and_printed_reads_the_same_again(text in near_text()) {
        if let Ok(members) = Membership::parse(&text) {
            prop_assert_eq!(Membership::parse(&members.to_string()), Ok(members));
        }
    }
}
