//! Service discovery: who asks comes to know the instances that live, with what they said last, and no others.

use super::{ABRUPT, NATURAL, Stage, a_while, each_seed};
use crate::discovery::{
    Discovery, DownPolicy, Registration, ServiceInstance, ServiceProvider, ServiceType, Strategy,
};

/// Two instances are published and changed, and another program chooses among them; then one is withdrawn, and the other
/// dies.
pub(super) async fn discover(stage: &mut Stage, service_type: ServiceType) {
    let user = Discovery::new(stage.member(), "/services");
    let provider = async move {
        let (strategy, down) = (Strategy::RoundRobin, DownPolicy::default());
        user.provider("search", strategy, down).await.unwrap()
    };
    let provider = stage.played(provider).await;
    let programs = [stage.member(), stage.member()];
    let mut registrations = Vec::new();
    for (program, id) in programs.iter().zip(["withdrawn", "dies"]) {
        let services = Discovery::new(program, "/services");
        let published = stage.played(publish(services, id, service_type));
        registrations.push(published.await);
    }
    let faults = stage.faults;
    stage.left("/services").await;
    assert_eq!(
        known(&provider),
        [("dies", Some(2)), ("withdrawn", Some(2))].map(owned)
    );
    let chosen = [provider.instance(), provider.instance()];
    let mut chosen = chosen.map(|instance| instance.unwrap().id);
    chosen.sort_unstable();
    assert_eq!(chosen, ["dies", "withdrawn"]);
    stage.faults = faults.max(stage.plan.faults / 2);
    drop(registrations.pop());
    stage.dies(&programs[1]).await;
    let first = registrations.pop().unwrap();
    stage
        .played(async move { first.withdraw().await.unwrap() })
        .await;
    assert_eq!(stage.left("/services/search").await, [""; 0]);
    assert_eq!(known(&provider), []);
    assert_eq!(provider.instance(), None);
}

/// With one port after the other, the last one 2.
async fn publish(services: Discovery, id: &str, service_type: ServiceType) -> Registration {
    let mut instance = ServiceInstance::new("search", id, 0);
    instance.service_type = service_type;
    let registration = services.publish(&instance).await.unwrap();
    for port in 1..=2 {
        instance.port = Some(port);
        registration.update(&instance);
        a_while().await;
    }
    registration
}

fn known(provider: &ServiceProvider) -> Vec<(String, Option<i32>)> {
    let instances = provider.instances().into_iter();
    instances
        .map(|instance| (instance.id, instance.port))
        .collect()
}

fn owned((id, port): (&str, Option<i32>)) -> (String, Option<i32>) {
    (id.to_owned(), port)
}

#[test]
fn instances_that_live_are_known_as_they_were_published_last_and_no_others_are() {
    for plan in [NATURAL, ABRUPT] {
        each_seed(plan, async |stage| {
            discover(stage, ServiceType::Dynamic).await
        });
    }
}
