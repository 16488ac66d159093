//! What a whole `zoo.cfg` becomes: values, remarks and refusals, judged as Apache's server judges
//! them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zabra_config::{
    BindAt, Compression, Config, ConfigError, Invocation, Listen, Metrics, Mode, Nowhere, Severity,
    SystemProperties, ThisMember, World,
};
use zabra_quorum::{ConfigVersion, HostPort, Role, Sid};

/// A world of a few files; every name is 10.0.0.1.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, &'static str>);

impl Files {
    fn with(files: &[(&str, &'static str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| (PathBuf::from(path), *text))
                .collect(),
        )
    }
}

impl World for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(text.as_bytes().to_vec())
    }

    fn resolve(&self, host: &str) -> io::Result<IpAddr> {
        Ok(host.parse().unwrap_or(IpAddr::from([10, 0, 0, 1])))
    }
}

fn load_with(cfg: &str, definitions: &[&str], world: &dyn World) -> Result<Config, ConfigError> {
    let mut properties = SystemProperties::new();
    for definition in definitions {
        properties.define(definition);
    }
    Config::from_bytes("zoo.cfg", cfg.as_bytes(), &properties, world)
}

fn load(cfg: &str) -> Config {
    load_with(&format!("{MINIMAL}{cfg}"), &[], &Nowhere)
        .unwrap_or_else(|error| panic!("{cfg}: {error}"))
}

fn this_member(config: &Config) -> &ThisMember {
    match &config.mode {
        Mode::Member(member) => member,
        Mode::Standalone => panic!("standalone"),
    }
}

fn refusal(cfg: &str) -> String {
    let error = load_with(cfg, &[], &Nowhere).expect_err(cfg);
    assert_eq!(error.exit().code(), 2, "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

fn remarks(config: &Config, at_least: Severity) -> Vec<String> {
    config
        .notices
        .iter()
        .filter(|n| n.severity >= at_least)
        .map(ToString::to_string)
        .collect()
}

/// Three lines that every configuration here begins with.
const MINIMAL: &str = "dataDir=/data\nclientPort=2181\nclientPortAddress=127.0.0.1\n";

const THREE: &str =
    "initLimit=10\nsyncLimit=5\nserver.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n";

#[test]
fn what_is_not_written_has_apaches_default() {
    let config = load("");
    assert_eq!(config.mode, Mode::Standalone);
    assert_eq!(config.sessions.tick, Duration::from_secs(3));
    assert_eq!(config.sessions.timeout_min, Duration::from_secs(6));
    assert_eq!(config.sessions.timeout_max, Duration::from_secs(60));
    assert_eq!(config.limits.connections_per_client.most(), Some(60));
    assert_eq!(config.limits.connections.most(), None);
    assert_eq!(config.limits.packet_max_bytes, 1_048_575);
    assert_eq!(config.limits.packet_extra_bytes, 1_048_575);
    assert_eq!(config.limits.outstanding_max.most(), Some(1000));
    assert_eq!(config.limits.large_requests.threshold_bytes, None);
    assert_eq!(config.limits.connection_throttle.tokens_max, 0);
    assert_eq!(config.listen_backlog, None);
    let storage = &config.storage;
    assert_eq!(storage.snapshot_dir(), Path::new("/data/version-2"));
    assert_eq!(storage.log_dir(), Path::new("/data/version-2"));
    assert_eq!(
        (storage.snap_count, storage.snap_retain_count),
        (100_000, 3)
    );
    assert_eq!(storage.snap_size_max_bytes, Some(4 << 30));
    assert_eq!(storage.prealloc_bytes, 64 << 20);
    assert_eq!(storage.log_size_max_bytes, None);
    assert_eq!(storage.compression, Compression::None);
    assert_eq!(storage.purge_interval, None);
    assert_eq!(storage.batch_max, Some(1000));
    assert!(storage.force_sync && storage.digest && storage.creates_dirs && storage.creates_db);
    assert!(!config.znodes.extended_types && !config.znodes.enforce_quota);
    assert_eq!(config.znodes.sweep_interval, Duration::from_secs(60));
    assert_eq!(config.znodes.container_never_used_max, None);
    assert!(
        config.access.digest_enabled
            && config.access.super_digest.is_none()
            && !config.access.skips_acl
    );
    assert!(config.words.allows("srvr") && !config.words.allows("ruok"));
    assert_eq!((config.admin.enabled, config.admin.port), (true, 8080));
    assert_eq!(config.metrics, Metrics::Default);
    assert_eq!(remarks(&config, Severity::Warning), Vec::<String>::new());
}

#[test]
fn what_is_written_is_what_the_server_gets() {
    let config = load(
        "dataLogDir=/logs\ntickTime=2000\nmaxClientCnxns=0\nmaxCnxns=500\nminSessionTimeout=1000\n\
         maxSessionTimeout=90000\nsnapCount=1\npreAllocSize=64\nsnapSizeLimitInKb=0\ntxnLogSizeLimitInKb=1024\n\
         autopurge.snapRetainCount=1\nautopurge.purgeInterval=24\nsnapshot.compression.method=gz\n\
         4lw.commands.whitelist=*\nflushDelay=30\nextendedTypesEnabled=TRUE\nclientPortListenBacklog=500\n\
         DigestAuthenticationProvider.superDigest=super:xyz\nlargeRequestThreshold=1000\n",
    );
    assert_eq!(config.storage.log_dir(), Path::new("/logs/version-2"));
    assert_eq!(config.sessions.timeout_min, Duration::from_secs(1));
    assert_eq!(config.sessions.timeout_max, Duration::from_secs(90));
    assert_eq!(config.limits.connections_per_client.most(), None);
    assert_eq!(config.limits.connections.most(), Some(500));
    assert_eq!(config.storage.snap_count, 2);
    assert_eq!(config.storage.snap_retain_count, 3);
    assert_eq!(config.storage.snap_size_max_bytes, None);
    assert_eq!(config.storage.prealloc_bytes, 64 << 10);
    assert_eq!(config.storage.log_size_max_bytes, Some(1 << 20));
    assert_eq!(
        config.storage.purge_interval,
        Some(Duration::from_secs(86_400))
    );
    assert_eq!(config.storage.compression, Compression::Gzip);
    assert_eq!(
        config.storage.write_queue_poll_max,
        Duration::from_millis(10)
    );
    assert_eq!(config.limits.large_requests.threshold_bytes, Some(1000));
    assert_eq!(config.listen_backlog, Some(500));
    assert!(config.words.allows("mntr") && config.znodes.extended_types);
    assert_eq!(
        config.access.super_digest.as_ref().map(|s| s.reveal()),
        Some("super:xyz")
    );
    assert!(!format!("{config:?}").contains("xyz"));
    let corrected = remarks(&config, Severity::Warning);
    assert_eq!(corrected.len(), 2, "{corrected:?}");
}

#[test]
fn purge_intervals_take_units() {
    let interval = |text: &str| {
        load(&format!("autopurge.purgeInterval={text}\n"))
            .storage
            .purge_interval
    };
    assert_eq!(interval("0"), None);
    assert_eq!(interval("-1"), None);
    for (text, seconds) in [
        ("1", 3600),
        ("90s", 90),
        ("5000ms", 5),
        ("2m", 120),
        ("1h", 3600),
        ("2d", 172_800),
    ] {
        assert_eq!(interval(text), Some(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "h", "1w", "1.5", "1 hour"] {
        assert!(
            refusal(&format!("{MINIMAL}autopurge.purgeInterval={text}")).starts_with("zoo.cfg:4: "),
            "{text}"
        );
    }
}

#[test]
fn every_refusal_says_what_where_and_what_to_do() {
    for (cfg, expected) in [
        (
            "clientPort=2181",
            "zoo.cfg: dataDir is not set; add dataDir=",
        ),
        (
            "dataDir=/d\nclientPortAddress=::1",
            "zoo.cfg:2: clientPortAddress is set but clientPort is not; add clientPort",
        ),
        (
            "dataDir=/d\nsecureClientPortAddress=::1",
            "zoo.cfg:2: secureClientPortAddress is set but",
        ),
        (
            "dataDir=/d\nclientPort=x",
            "zoo.cfg:2: clientPort = \"x\" is not a whole number",
        ),
        (
            "dataDir=/d\nclientPort=70000",
            "zoo.cfg:2: clientPort = 70000 is not a port",
        ),
        (
            "dataDir=/d\nclientPort=1\nclientPortAddress=no.such",
            "zoo.cfg:3: clientPortAddress = no.such is no address",
        ),
        (
            "dataDir=/d\ntickTime=0",
            "zoo.cfg:2: tickTime = 0 is not a time; give ms",
        ),
        (
            "dataDir=/d\nminSessionTimeout=9\nmaxSessionTimeout=8",
            "zoo.cfg:3: minSessionTimeout, 9 ms, must not be larger",
        ),
        (
            "dataDir=/d\nminSessionTimeout=90000",
            "zoo.cfg:2: minSessionTimeout, 90000 ms, must not be larger",
        ),
        (
            "dataDir=/d\nsyncEnabled=yes",
            "zoo.cfg:2: syncEnabled = \"yes\" is neither true nor false; give true, false",
        ),
        (
            "dataDir=/d\nelectionAlg=0",
            "zoo.cfg:2: electionAlg = 0: 3 is the only election algorithm",
        ),
        (
            "dataDir=/d\noraclePath=/o",
            "zoo.cfg:2: oraclePath = /o: a quorum by oracle",
        ),
        (
            "dataDir=/d\nsslQuorum=true",
            "zoo.cfg:2: sslQuorum = true: TLS between servers is not built yet",
        ),
        (
            "dataDir=/d\nquorum.auth.enableSasl=true",
            "zoo.cfg:2: quorum.auth.enableSasl = true: SASL between servers",
        ),
        (
            "dataDir=/d\nenforce.auth.enabled=true",
            "zoo.cfg:2: enforce.auth.enabled = true: enforced authentication",
        ),
        (
            "dataDir=/d\nsessionRequireClientSASLAuth=true",
            "zoo.cfg:2: sessionRequireClientSASLAuth = true",
        ),
        (
            "dataDir=/d\npeerType=boss",
            "zoo.cfg:2: peerType = \"boss\" is unknown; give participant or observer",
        ),
        (
            "dataDir=/d\nmetricsProvider.className=a.B",
            "zoo.cfg:2: metrics provider class a.B was not found",
        ),
        (
            "dataDir=/d\nserver.x=a:1:2",
            "zoo.cfg:2: `server.x`: a number from 0 on must follow",
        ),
        (
            "dataDir=/d\nserver.1=a:1",
            "zoo.cfg:2: server.1=a:1: a port is a number",
        ),
        (
            "dataDir=/d\nserver.1=a:1:2|b:1:2",
            "zoo.cfg:2: server.1 has several addresses and multiAddress",
        ),
        (
            "dataDir=/d\nstandaloneEnabled=false",
            "zoo.cfg: standaloneEnabled is false and no participant",
        ),
        (
            "dataDir=/d\nserver.1=a:1:2:observer",
            "zoo.cfg: observers are listed, but no participant",
        ),
        (
            "dataDir=/d\nserver.1=a:1:2:observer\nserver.2=b:1:2",
            "zoo.cfg: observers are listed, but only one participant",
        ),
        (
            "dataDir=/d\ndynamicConfigFile=f\nserver.1=a:1:2",
            "zoo.cfg:3: server.1 is given here, although dynamicConfigFile",
        ),
        (
            "dataDir=/d\ndynamicConfigFile=f",
            "zoo.cfg:2: cannot read f: ",
        ),
        (
            "dataDir=/d\nDigestAuthenticationProvider.digestAlg=SHA3-256",
            "zoo.cfg:2: DigestAuthenticationProvider.digestAlg = SHA3-256 is a hash that this server does not have",
        ),
    ] {
        let text = refusal(cfg);
        assert!(
            text.starts_with(expected),
            "{cfg}\n     is: {text}\nexpected: {expected}"
        );
        assert!(text.contains("; "), "no advice: {text}");
    }
}

#[test]
fn what_is_refused_only_when_on_may_be_written_as_off() {
    load("sslQuorum=false\nquorum.auth.enableSasl=False\nelectionAlg=3\nenforce.auth.enabled=no\n");
}

#[test]
fn unknown_keys_are_remarked_with_the_nearest_known_one() {
    let config = load("clinetPort=1\nfrobnicate=2\nsnapcount=3\n");
    assert_eq!(
        remarks(&config, Severity::Warning),
        [
            "zoo.cfg:4: unknown setting clinetPort has no effect; did you mean clientPort?",
            "zoo.cfg:5: unknown setting frobnicate has no effect",
            "zoo.cfg:6: unknown setting snapcount has no effect; did you mean snapCount?",
        ]
    );
    assert_eq!(config.properties.value("zookeeper.frobnicate"), Some("2"));
}

#[test]
fn keys_that_apache_would_not_see_are_remarked_and_act() {
    let config = load("zookeeper.snapCount=7\nconnectionMaxTokens=8\njute.maxbuffer=9000\n");
    assert_eq!(config.storage.snap_count, 7);
    assert_eq!(config.limits.connection_throttle.tokens_max, 8);
    assert_eq!(config.limits.packet_max_bytes, 9000);
    let texts = remarks(&config, Severity::Info);
    assert!(
        texts[0].contains("becomes zookeeper.zookeeper.snapCount; write snapCount"),
        "{texts:?}"
    );
    assert!(
        texts[1].contains("taken as connection_throttle_tokens"),
        "{texts:?}"
    );
    assert!(texts[2].contains("only as -Djute.maxbuffer"), "{texts:?}");
}

#[test]
fn a_parsers_key_as_system_property_is_remarked_as_having_no_effect() {
    let config = load_with(
        MINIMAL,
        &[
            "zookeeper.tickTime=5",
            "zookeeper.snapCuont=1",
            "java.foo=1",
        ],
        &Nowhere,
    )
    .unwrap();
    assert_eq!(config.sessions.tick, Duration::from_secs(3));
    assert_eq!(
        remarks(&config, Severity::Warning),
        [
            "-D: unknown setting zookeeper.snapCuont has no effect; did you mean zookeeper.snapCount?",
            "-D: zookeeper.tickTime has no effect as a system property; write tickTime in zoo.cfg",
        ]
    );
}

#[test]
fn settings_of_java_are_accepted_in_silence() {
    let config =
        load("nio.numWorkerThreads=4\ncommitProcessor.numWorkerThreads=2\nleader.nodelay=true\n");
    assert_eq!(remarks(&config, Severity::Warning), Vec::<String>::new());
    assert_eq!(remarks(&config, Severity::Debug).len(), 5);
}

#[test]
fn what_is_not_built_yet_gets_one_line_per_part() {
    let config = load(
        "ssl.keyStore.location=/k\nssl.keyStore.password=hunter2\nsecureClientPort=2281\npathStats.enabled=true\n",
    );
    let texts = remarks(&config, Severity::Warning);
    assert_eq!(
        texts,
        [
            "zoo.cfg:4: TLS: not built yet, so that ssl.keyStore.location, ssl.keyStore.password, secureClientPort have no effect",
            "zoo.cfg:6: secureClientPort: TLS is not built yet, nothing listens at 0.0.0.0:2281",
            "zoo.cfg:7: request path statistics: not built yet, so that pathStats.enabled has no effect",
        ]
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn repeated_keys_are_remarked_and_the_last_wins() {
    let config = load("tickTime=1000\ntickTime=2000\n");
    assert_eq!(config.sessions.tick, Duration::from_secs(2));
    assert_eq!(
        remarks(&config, Severity::Warning),
        ["zoo.cfg:4: tickTime is given again in line 5, which wins"]
    );
}

#[test]
fn what_stands_open_gets_one_loud_line_each() {
    let cfg = "dataDir=/d\nclientPort=2181\nforceSync=no\nskipACL=yes\nsnapshot.trust.empty=true\n";
    let config = load_with(cfg, &[], &Nowhere).unwrap();
    assert!(!config.storage.force_sync && config.access.skips_acl);
    let loud = remarks(&config, Severity::Unsafe);
    assert_eq!(loud.len(), 4, "{loud:?}");
    assert!(
        loud.iter().all(|text| text.starts_with("zoo.cfg:")),
        "{loud:?}"
    );
}

#[test]
fn without_a_client_port_the_server_starts_and_says_that_nobody_can_connect() {
    let config = load_with("dataDir=/d", &[], &Nowhere).unwrap();
    assert_eq!(config.client, None);
    assert!(remarks(&config, Severity::Unsafe)[0].contains("no client can connect"));
}

#[test]
fn without_a_configuration_the_server_stays_on_loopback() {
    let config = Config::load_in(&Invocation::Nothing, &SystemProperties::new(), &Nowhere).unwrap();
    assert_eq!(
        config.client.as_ref().map(ToString::to_string).as_deref(),
        Some("127.0.0.1:2181")
    );
    assert_eq!(config.data_dir(), Path::new("./zabra-data"));
    assert_eq!(config.limits.connections_per_client.most(), Some(60));
    assert_eq!(remarks(&config, Severity::Warning), Vec::<String>::new());
}

#[test]
fn the_old_form_has_no_limit_of_connections_unless_given() {
    let old = |args: &[&str]| {
        let invocation = Invocation::from_args(args).unwrap();
        Config::load_in(&invocation, &SystemProperties::new(), &Nowhere).unwrap()
    };
    let config = old(&["2181", "/d"]);
    assert_eq!(config.client, Some(Listen::everywhere(2181)));
    assert_eq!(config.limits.connections_per_client.most(), None);
    let config = old(&["2181", "/d", "1000", "7"]);
    assert_eq!(config.sessions.tick, Duration::from_secs(1));
    assert_eq!(config.limits.connections_per_client.most(), Some(7));
}

#[test]
fn several_voters_make_an_ensemble_which_needs_limits_and_myid() {
    let files = Files::with(&[("/data/myid", "2\n")]);
    let config = load_with(&format!("{MINIMAL}{THREE}"), &[], &files).unwrap();
    let member = this_member(&config);
    assert_eq!((member.sid, member.role), (Sid(2), Role::Participant));
    assert_eq!((member.init_limit, member.sync_limit), (10, 5));
    assert_eq!(member.connect_limit, 10);
    assert_eq!(member.committed.voters().len(), 3);
    assert_eq!(load("").mode, Mode::Standalone);

    assert!(
        refusal(&format!("{MINIMAL}{THREE}"))
            .starts_with("zoo.cfg: myid file is missing in /data; write")
    );
    let without = |key: &str| {
        THREE
            .lines()
            .filter(|l| !l.starts_with(key))
            .map(|l| format!("{l}\n"))
            .collect::<String>()
    };
    for key in ["initLimit", "syncLimit"] {
        let error = load_with(&format!("{MINIMAL}{}", without(key)), &[], &files).expect_err(key);
        assert!(
            error
                .to_string()
                .starts_with(&format!("zoo.cfg: {key} is not set; write")),
            "{error}"
        );
    }
}

#[test]
fn a_bad_myid_is_fatal_even_for_a_standalone_server() {
    for (text, shown) in [("x\n", "x"), ("", ""), ("1 \n", "1 ")] {
        let error = load_with(MINIMAL, &[], &Files::with(&[("/data/myid", text)])).expect_err(text);
        let expected = format!("/data/myid:1: serverid \"{shown}\" is not a number");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn one_server_line_runs_standalone_with_a_remark_and_gives_the_client_address() {
    let files = Files::with(&[("/d/myid", "1")]);
    let config = load_with(
        "dataDir=/d\nserver.1=a:2888:3888;10.0.0.9:2182",
        &[],
        &files,
    )
    .unwrap();
    assert_eq!(config.mode, Mode::Standalone);
    assert_eq!(
        config.client.as_ref().map(ToString::to_string).as_deref(),
        Some("10.0.0.9:2182")
    );
    assert!(
        remarks(&config, Severity::Warning)
            .iter()
            .any(|t| t.contains("one server line alone"))
    );

    let contradiction = "dataDir=/d\nclientPort=2183\nserver.1=a:2888:3888;2182";
    let error = load_with(contradiction, &[], &files).expect_err("two ports");
    assert!(
        error
            .to_string()
            .starts_with("zoo.cfg:2: clients are served at 0.0.0.0:2183 here"),
        "{error}"
    );

    let ensemble = "dataDir=/d\nclientPort=2181\nstandaloneEnabled=false\ninitLimit=1\nsyncLimit=1\nserver.1=a:2888:3888";
    let alone = load_with(ensemble, &[], &files).unwrap();
    assert_eq!(this_member(&alone).committed.voters().len(), 1);
}

#[test]
fn the_role_in_the_server_line_wins() {
    let files = Files::with(&[("/data/myid", "4")]);
    let says_so = |lines: &str| {
        let cfg = format!("{MINIMAL}{THREE}server.4=d:2888:3888:observer\n{lines}");
        let config = load_with(&cfg, &[], &files).unwrap();
        assert_eq!(this_member(&config).role, Role::Observer);
        let texts = remarks(&config, Severity::Warning);
        texts
            .iter()
            .any(|text| text.contains("server lines say observer"))
    };
    assert!(says_so("peerType=participant\n"));
    // A file that a reconfiguration has rewritten has no such line any more.
    assert!(!says_so("") && !says_so("peerType=observer\n"));
}

#[test]
fn a_number_that_no_server_line_has_is_refused_as_late_as_apache_finds_out() {
    let files = Files::with(&[("/data/myid", "9")]);
    let error = load_with(&format!("{MINIMAL}{THREE}"), &[], &files).expect_err("unknown");
    let text = error.to_string();
    assert!(
        text.starts_with(
            "/data/myid:1: myid is 9, but the servers of this ensemble are 1, 2, 3; correct"
        ),
        "{text}"
    );
    assert_eq!(error.exit().code(), 1);
}

#[test]
fn ttl_znodes_leave_no_room_for_large_server_numbers() {
    let files = Files::with(&[("/data/myid", "255")]);
    let cfg = format!("{MINIMAL}{THREE}server.255=d:2888:3888\n");
    assert_eq!(
        this_member(&load_with(&cfg, &[], &files).unwrap()).sid,
        Sid(255)
    );
    let cfg = format!("{cfg}extendedTypesEnabled=true\n");
    let error = load_with(&cfg, &[], &files)
        .expect_err("no room")
        .to_string();
    assert!(
        error.contains("myid is 255") && error.contains("above 254"),
        "{error}"
    );
}

#[test]
fn a_member_listens_on_its_own_addresses_or_on_all() {
    let files = Files::with(&[("/data/myid", "1")]);
    let cfg = format!("{MINIMAL}{THREE}");
    let at = |port| {
        let host = "a".to_owned();
        vec![BindAt::Host(HostPort { host, port })]
    };
    let config = load_with(&cfg, &[], &files).unwrap();
    let member = this_member(&config);
    assert_eq!(member.quorum_binds(), at(2888));
    assert_eq!(member.election_binds(), at(3888));
    let config = load_with(&format!("{cfg}quorumListenOnAllIPs=true\n"), &[], &files).unwrap();
    let member = this_member(&config);
    assert_eq!(member.quorum_binds(), [BindAt::Everywhere(2888)]);
    assert_eq!(member.election_binds(), [BindAt::Everywhere(3888)]);
}

#[test]
fn ports_for_other_servers_that_stand_open_get_a_loud_line() {
    let files = Files::with(&[("/data/myid", "1")]);
    let loud = |lines: &str| {
        let config = load_with(&format!("{MINIMAL}{lines}"), &[], &files).unwrap();
        let texts = remarks(&config, Severity::Unsafe);
        let open = texts
            .iter()
            .find(|text| text.contains("take whoever connects"));
        open.cloned()
    };
    let text = loud(THREE).expect("a name may be reached from anywhere");
    assert!(text.contains("ports 2888 and 3888"), "{text}");
    let inside = THREE.replace("=a:", "=127.0.0.1:");
    assert_eq!(loud(&inside), None);
    assert!(loud(&format!("{inside}quorumListenOnAllIPs=true\n")).is_some());
}

#[test]
fn what_an_ensemble_does_not_have_yet_is_said() {
    let files = Files::with(&[("/data/myid", "1")]);
    let cfg = format!(
        "{MINIMAL}{THREE}localSessionsEnabled=true\nobserverMasterPort=2191\nreadonlymode.enabled=true\n"
    );
    let config = load_with(&cfg, &[], &files).unwrap();
    let texts = remarks(&config, Severity::Warning).join("\n");
    for part in ["local sessions", "the observer master", "read-only mode"] {
        assert!(texts.contains(&format!("{part}: not built yet")), "{texts}");
    }
}

#[test]
fn the_client_address_of_the_static_file_is_known_and_not_printed() {
    let files = Files::with(&[("/data/myid", "1")]);
    let config = load_with(&format!("{MINIMAL}{THREE}clientPort=2181\n"), &[], &files).unwrap();
    let member = this_member(&config);
    let client = member.line().and_then(|line| line.client.clone()).unwrap();
    assert_eq!(client.at.to_string(), "127.0.0.1:2181");
    assert!(!member.committed.to_string().contains("2181"));
}

#[test]
fn the_tunables_of_an_ensemble_are_read_where_apache_reads_them() {
    let files = Files::with(&[("/data/myid", "1")]);
    let cfg = format!(
        "{MINIMAL}{THREE}tickTime=2000\nconnectToLearnerMasterLimit=7\nquorumCnxnTimeoutMs=4321\n\
         leaderConnectDelayDuringRetryMs=50\nleader.maxTimeToWaitForEpoch=60\nforceSnapshotSync=true\n\
         observer.reconnectDelayMs=70\nobserver.election.DelayMs=80\nelectionPortBindRetry=0\n\
         fastleader.minNotificationInterval=100\nleaderServes=no\nsyncEnabled=false\ntcpKeepAlive=true\n\
         commitLogCount=10\nsnapshotSizeFactor=-1\nmaxConcurrentSnapSyncs=3\n"
    );
    let config = load_with(&cfg, &["zookeeper.cnxTimeout=900"], &files).unwrap();
    let ms = Duration::from_millis;
    let member = this_member(&config);
    assert_eq!(member.connect_limit, 7);
    assert_eq!(member.election_silence_max, ms(4321));
    let ensemble = &config.ensemble;
    assert_eq!(ensemble.leader_connect_delay, ms(50));
    assert_eq!(ensemble.epoch_wait_max, Some(ms(60)));
    assert_eq!(ensemble.observer_reconnect_delay_max, ms(70));
    assert_eq!(ensemble.observer_election_delay_max, ms(80));
    assert_eq!(ensemble.notification_interval_min, ms(100));
    assert_eq!(ensemble.election_connect_timeout, ms(900));
    assert_eq!(ensemble.election_bind_attempts, None);
    assert!(ensemble.always_snapshot && ensemble.tcp_keep_alive);
    assert!(!ensemble.leader_serves && !ensemble.sync_enabled);
    assert_eq!(ensemble.commit_log_count, 500);
    assert!(ensemble.snapshot_size_factor < 0.0);
    assert_eq!(ensemble.snapshot_syncs_max, 3);

    let config = load_with(&format!("{MINIMAL}{THREE}tickTime=2000\n"), &[], &files).unwrap();
    assert_eq!(this_member(&config).election_silence_max, ms(10_000));
    assert_eq!(config.ensemble.epoch_wait_max, None);
    assert_eq!(config.ensemble.election_bind_attempts, Some(3));
    assert_eq!(config.ensemble.observer_election_delay_max, ms(200));
}

#[test]
fn even_numbers_of_voters_are_remarked() {
    let files = Files::with(&[("/data/myid", "1")]);
    let four = load_with(
        &format!("{MINIMAL}{THREE}server.4=d:2888:3888\n"),
        &[],
        &files,
    )
    .unwrap();
    assert!(
        remarks(&four, Severity::Warning)[0]
            .contains("4 participants tolerate no more failures than 3")
    );
    let two = THREE.lines().take(4).collect::<Vec<_>>().join("\n");
    let two = load_with(&format!("{MINIMAL}{two}"), &[], &files).unwrap();
    assert!(remarks(&two, Severity::Warning)[0].contains("tolerates no failure"));
}

#[test]
fn a_dynamic_file_gives_the_members_and_its_name_the_version() {
    let files = Files::with(&[
        ("/d/myid", "1"),
        (
            "/c/zoo.cfg.dynamic.1f",
            "server.1=a:2888:3888:participant;2181\nserver.2=b:2888:3888:participant;2181\n",
        ),
    ]);
    let cfg = "dataDir=/d\ninitLimit=10\nsyncLimit=5\ndynamicConfigFile=/c/zoo.cfg.dynamic.1f\n";
    let config = load_with(cfg, &[], &files).unwrap();
    assert_eq!(
        config.client,
        Some(Listen::at("0.0.0.0", IpAddr::from([0, 0, 0, 0]), 2181))
    );
    assert_eq!(
        this_member(&config).committed.version(),
        ConfigVersion(0x1f)
    );

    for (line, problem) in [
        ("version=1", "a version belongs"),
        ("tickTime=1", "tickTime is not of a dynamic file"),
    ] {
        let files = Files(BTreeMap::from([(
            PathBuf::from("/c/zoo.cfg.dynamic.1f"),
            line,
        )]));
        let error = load_with(cfg, &[], &files).expect_err(line).to_string();
        assert!(
            error.starts_with(&format!("/c/zoo.cfg.dynamic.1f:1: {problem}")),
            "{error}"
        );
    }
}

#[test]
fn groups_make_weights_complete() {
    let files = Files::with(&[("/data/myid", "1")]);
    let config = load_with(
        &format!("{MINIMAL}{THREE}group.1=1:2\ngroup.2=3\nweight.2=5\n"),
        &[],
        &files,
    )
    .unwrap();
    let text = this_member(&config).committed.to_string();
    assert!(
        text.contains("group.1=1:2\ngroup.2=3\nweight.1=1\nweight.2=5\nweight.3=1\nversion=0"),
        "{text}"
    );
    for (groups, problem) in [
        ("group.1=1:2", "server 3 is in no group"),
        ("group.1=1\ngroup.2=1:2:3", "in more than one group"),
    ] {
        let error =
            load_with(&format!("{MINIMAL}{THREE}{groups}\n"), &[], &files).expect_err(groups);
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn a_system_property_from_the_environment_acts() {
    let properties = SystemProperties::from_environment(|name| {
        (name == "SERVER_JVMFLAGS")
            .then(|| "-Xmx1g -Dzookeeper.snapCount=55 -Djute.maxbuffer=2000000".to_owned())
    });
    let config = Config::from_bytes("zoo.cfg", MINIMAL.as_bytes(), &properties, &Nowhere).unwrap();
    assert_eq!(config.storage.snap_count, 55);
    assert_eq!(config.limits.packet_max_bytes, 2_000_000);
}

#[test]
fn changes_are_audited_where_that_is_set_whatever_class_shall_do_it() {
    assert!(!load("").audit);
    let own = "audit.enable=true\naudit.impl.class=com.example.Logger\n";
    let config = load(own);
    assert!(config.audit);
    let warned = remarks(&config, Severity::Warning);
    assert!(
        warned.iter().any(|w| w.contains("com.example.Logger")),
        "{warned:?}"
    );
}

mod robustness {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Config::from_bytes("zoo.cfg", &bytes, &SystemProperties::new(), &Nowhere);
        }

        #[test]
        fn no_value_of_any_setting_panics(index in any::<prop::sample::Index>(), value in "[-+0-9a-z:;|.\\[\\]]{0,12}") {
            let settings: Vec<_> = zabra_config::table::all().collect();
            let key = index.get(&settings).key.replace(['N', '*'], "1");
            let cfg = format!("{MINIMAL}{key}={value}\n");
            if let Err(error) = load_with(&cfg, &[], &Nowhere) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
