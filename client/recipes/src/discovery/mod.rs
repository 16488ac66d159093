//! Which instances of a service there are: publishing, looking up, choosing one. The layout of Curator's service discovery.
//!
//! An instance is a znode `<base>/<service>/<id>` that holds its JSON ([`ServiceInstance`]).

mod instance;
mod provider;
mod uri_spec;

pub use instance::{ServiceInstance, ServiceType};
pub use provider::ServiceProvider;
pub use uri_spec::UriSpec;

pub use crate::decide::strategy::{DownPolicy, Strategy};

use zabra_client::CreateMode;

use crate::decide::mirror::join;
use crate::error::Error;
use crate::patient::Patient;
use crate::persistent_node::PersistentNode;
use crate::sessions::Sessions;

/// Service discovery below a path.
///
/// - Guaranteed: an instance of a session that lives is published; a dynamic one of a session that has ended is not, soon
///   after. Instances are published again in the next session.
/// - Not guaranteed: that an instance which is published answers.
#[derive(Debug, Clone)]
pub struct Discovery {
    sessions: Sessions,
    base: String,
}

/// An instance that is kept published. Dropped, a dynamic one goes with its session.
#[derive(Debug)]
pub struct Registration {
    node: PersistentNode,
    service_type: ServiceType,
}

impl Discovery {
    /// The services below a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, base: &str) -> Self {
        Self {
            sessions: sessions.into(),
            base: base.to_owned(),
        }
    }

    /// Publishes an instance and keeps it published; returns when it is. An instance of type
    /// [`ServiceType::DynamicSequential`] is published under its id as it is, without a number.
    ///
    /// # Errors
    /// The session has ended and there is no other, or the server refuses.
    pub async fn publish(&self, instance: &ServiceInstance) -> Result<Registration, Error> {
        let path = join(&join(&self.base, &instance.name), &instance.id);
        let json = instance.to_json();
        let node = match instance.service_type {
            ServiceType::Dynamic | ServiceType::DynamicSequential => {
                PersistentNode::ephemeral(&self.sessions, &path, &json)
            }
            ServiceType::Static | ServiceType::Permanent => {
                let persistent = CreateMode::Persistent.into();
                PersistentNode::with_options(&self.sessions, &path, &json, persistent)
            }
        };
        node.created().await?;
        Ok(Registration {
            node,
            service_type: instance.service_type,
        })
    }

    /// The names of all services.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn services(&self) -> Result<Vec<String>, Error> {
        let patient = self.sessions.patient().await?;
        let mut names = children(&patient, &self.base).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// The instances of a service that can be read, by id.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn instances(&self, service: &str) -> Result<Vec<ServiceInstance>, Error> {
        let patient = self.sessions.patient().await?;
        let parent = join(&self.base, service);
        let mut ids = children(&patient, &parent).await?;
        ids.sort_unstable();
        let mut instances = Vec::new();
        for id in ids {
            let Some((json, _)) = patient.data(&join(&parent, &id)).await? else {
                continue;
            };
            match ServiceInstance::from_json(&json) {
                Ok(instance) => instances.push(instance),
                Err(error) => tracing::warn!(%error, service, id, "not an instance"),
            }
        }
        Ok(instances)
    }

    /// A provider of instances of a service, which follows them from now on.
    ///
    /// # Errors
    /// The session has ended and there is no other, or the server refuses.
    pub async fn provider(
        &self,
        service: &str,
        strategy: Strategy,
        down: DownPolicy,
    ) -> Result<ServiceProvider, Error> {
        ServiceProvider::start(&self.sessions, &join(&self.base, service), strategy, down).await
    }
}

impl Registration {
    /// Publishes it with other details. Its name and id stay.
    pub fn update(&self, instance: &ServiceInstance) {
        self.node.set_data(&instance.to_json());
    }

    /// Takes it back, unless it is permanent.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn withdraw(self) -> Result<(), Error> {
        match self.service_type {
            ServiceType::Permanent => Ok(()),
            _ => self.node.close().await,
        }
    }
}

async fn children(patient: &Patient, path: &str) -> Result<Vec<String>, Error> {
    let children = patient.children(path).await?;
    Ok(children.map(|(names, _)| names).unwrap_or_default())
}
