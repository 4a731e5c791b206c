//! Whether the pods of a Deployment run what its template says.

use k8s_openapi::api::apps::v1::Deployment;

/// The state of a Deployment's rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// The generation that the Deployment's controller has seen.
    pub observed_generation: i64,
    /// Wanted pods.
    pub replicas: i32,
    /// Pods of the newest template.
    pub updated: i32,
    /// All pods.
    pub total: i32,
    /// Pods of any template that are available.
    pub available: i32,
    /// spec.paused.
    pub paused: bool,
    /// The controller has given up waiting.
    pub deadline_exceeded: bool,
}

impl Rollout {
    /// Reads a Deployment.
    pub fn read(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let progressing =
            status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some("Progressing"));
        Self {
            observed_generation: status.observed_generation.unwrap_or_default(),
            replicas: deployment.spec.replicas.unwrap_or(1),
            updated: status.updated_replicas.unwrap_or_default(),
            total: status.replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            paused: deployment.spec.paused.unwrap_or_default(),
            deadline_exceeded: progressing
                .is_some_and(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded")),
        }
    }

    /// Whether the rollout of `generation` or of a later one is complete: the rule of `kubectl
    /// rollout status`.
    pub fn is_complete(&self, generation: i64) -> bool {
        self.observed_generation >= generation
            && self.updated >= self.replicas
            && self.total <= self.updated
            && self.available >= self.updated
    }

    /// "1 of 3 pods" for messages.
    pub fn progress(&self) -> String {
        format!("{} of {} pods are up to date, {} available", self.updated, self.replicas, self.available)
    }
}
