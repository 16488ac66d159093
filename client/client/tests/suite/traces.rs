//! What those hear who trace a program.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};
use zabra_client::{Client, CreateMode};
use zabra_testserver::TestServer;

/// The fields of a span or an event; its name, level and target among them.
type Fields = BTreeMap<String, String>;

/// Everything that was told: events at once, spans when they have ended.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Fields>>>);

struct Visitor<'a>(&'a mut Fields);

impl tracing::field::Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

fn fields(meta: &tracing::Metadata<'_>, record: impl FnOnce(&mut Visitor<'_>)) -> Fields {
    let mut fields = Fields::from([
        ("is".to_owned(), meta.name().to_owned()),
        ("level".to_owned(), meta.level().to_string()),
        ("target".to_owned(), meta.target().to_owned()),
    ]);
    record(&mut Visitor(&mut fields));
    fields
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Told {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        id: &tracing::Id,
        context: Context<'_, S>,
    ) {
        let fields = fields(attributes.metadata(), |visitor| attributes.record(visitor));
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(
        &self,
        id: &tracing::Id,
        record: &tracing::span::Record<'_>,
        context: Context<'_, S>,
    ) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        record.record(&mut Visitor(extensions.get_mut::<Fields>().unwrap()));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let fields = fields(event.metadata(), |visitor| event.record(visitor));
        self.0.lock().unwrap().push(fields);
    }

    fn on_close(&self, id: tracing::Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields = span.extensions_mut().remove::<Fields>();
        self.0.lock().unwrap().extend(fields);
    }
}

impl Told {
    /// Listens on this thread, on which the client's task runs, too.
    fn listen(&self, filter: &str) -> tracing::subscriber::DefaultGuard {
        let subscriber = Registry::default()
            .with(EnvFilter::new(filter))
            .with(self.clone());
        tracing::subscriber::set_default(subscriber)
    }

    /// What was told under a target that begins so.
    fn take(&self, target: &str) -> Vec<Fields> {
        let mut told = std::mem::take(&mut *self.0.lock().unwrap());
        told.retain(|fields| fields["target"].starts_with(target));
        told
    }
}

fn shown(told: &[Fields], names: &[&str]) -> Vec<String> {
    let line = |fields: &Fields| {
        let values = names
            .iter()
            .map(|name| fields.get(*name).map_or("-", |value| value));
        values.collect::<Vec<_>>().join(" ")
    };
    told.iter().map(line).collect()
}

#[tokio::test]
async fn each_call_is_a_span_from_the_call_to_its_answer() {
    let server = TestServer::start().unwrap();
    let told = Told::default();
    let _listening = told.listen("zabra_client::call=debug");
    let client = Client::connect(&format!("{}/app", server.address()))
        .await
        .unwrap();
    let root = client.create("/", "", CreateMode::Persistent);
    // The second is told of even if nobody waits for it.
    drop(client.get("/none"));
    let created = root.await.unwrap();
    client
        .transaction()
        .check("/", None)
        .set("/none", "", None)
        .commit()
        .await
        .unwrap_err();
    client.add_auth("digest", "me:secret").await.unwrap();
    let session = client.session().0;
    client.close().await;
    let told = told.take("zabra_client");
    assert_eq!(
        shown(&told, &["level", "is", "op", "path", "xid", "error"]),
        [
            "DEBUG call Create2 / 1 -",
            "DEBUG call GetData /none 2 NoNode (-101)",
            "DEBUG call Multi /,/none 3 -",
            "DEBUG call Auth  - -",
            "DEBUG call CloseSession  - -",
        ]
    );
    for (span, op) in told.iter().zip(["Create2", "GetData", "Multi"]) {
        assert_eq!(span["session"], session.to_string(), "{op}");
    }
    let created = created.stat.unwrap().czxid;
    assert_eq!(told[0]["zxid"], format!("{created:#x}"));
}

#[tokio::test]
async fn a_call_that_cannot_be_made_says_why() {
    let server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    client.close().await;
    let told = Told::default();
    let _listening = told.listen("zabra_client=debug");
    client.get("/a").await.unwrap_err();
    assert_eq!(
        shown(&told.take("zabra_client"), &["op", "xid", "error"]),
        ["GetData - the session is closed"]
    );
}

#[tokio::test]
async fn what_happens_to_connections_is_told_to_everybody_and_calls_are_not() {
    let mut server = TestServer::start().unwrap();
    let told = Told::default();
    let _listening = told.listen("info");
    let client = Client::connect(&server.connect_string()).await.unwrap();
    client.exists("/").await.unwrap();
    let session = client.session().0.to_string();
    let mut states = client.states();
    states.next().await;
    server.stop().unwrap();
    states.next().await;
    server.start_again().unwrap();
    states.next().await;
    client.close().await;
    let told = told.take("zabra_client");
    assert!(told.iter().all(|fields| fields["level"] == "INFO"));
    let states: Vec<_> = told
        .iter()
        .filter(|fields| fields.contains_key("state"))
        .collect();
    assert!(states.iter().all(|fields| fields["session"] == session));
    let states: Vec<_> = states.iter().map(|fields| &fields["state"][..]).collect();
    assert_eq!(states, ["Connected", "Suspended", "Connected", "Closed"]);
    let lost = told.iter().find(|fields| fields.contains_key("silent_ms"));
    assert_eq!(lost.unwrap()["server"], server.address().to_string());
}
