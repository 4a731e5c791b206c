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

    /// Whether nothing is to be waited for: it is complete, nobody lets it go on, or it was given up.
    pub fn is_settled(&self, generation: i64) -> bool {
        self.is_complete(generation)
            || self.paused
            || (self.deadline_exceeded && self.observed_generation >= generation)
    }

    /// "1 of 3 pods" for messages.
    pub fn progress(&self) -> String {
        format!("{} of {} pods are up to date, {} available", self.updated, self.replicas, self.available)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_is_what_kubectl_rollout_status_calls_so() {
        let complete =
            Rollout { observed_generation: 3, replicas: 2, updated: 2, total: 2, available: 2, ..Rollout::default() };
        assert!(complete.is_complete(3) && complete.is_complete(2));
        let not_yet = [
            Rollout { observed_generation: 2, ..complete.clone() },
            Rollout { updated: 1, ..complete.clone() },
            Rollout { total: 3, ..complete.clone() },
            Rollout { available: 1, ..complete.clone() },
        ];
        for rollout in not_yet {
            assert!(!rollout.is_complete(3), "{rollout:?}");
        }
        // None wanted, none there.
        let none = Rollout { replicas: 0, updated: 0, total: 0, available: 0, ..complete.clone() };
        assert!(none.is_complete(3));
        // More of the new than are wanted: scaled down meanwhile.
        assert!(Rollout { replicas: 1, ..complete }.is_complete(3));
    }

    #[test]
    fn settled_is_complete_paused_or_given_up() {
        let begun = Rollout { observed_generation: 3, replicas: 1, total: 1, ..Rollout::default() };
        let complete = Rollout { updated: 1, available: 1, ..begun.clone() };
        let given_up = Rollout { deadline_exceeded: true, ..begun.clone() };
        let rows = [
            (complete.clone(), 3, true),
            (complete, 4, false),
            (begun.clone(), 3, false),
            (Rollout { paused: true, ..begun }, 4, true),
            (given_up.clone(), 3, true),
            (given_up.clone(), 2, true),
            // What was given up was an older one.
            (given_up, 4, false),
        ];
        for (rollout, generation, expected) in rows {
            assert_eq!(rollout.is_settled(generation), expected, "{generation}: {rollout:?}");
        }
    }

    #[test]
    fn a_deployment_tells_how_far_its_pods_are() {
        let deployment: Deployment = serde_json::from_value(serde_json::json!({
            "spec": {"replicas": 4, "paused": true, "selector": {}, "template": {}},
            "status": {
                "observedGeneration": 9, "updatedReplicas": 3, "replicas": 5, "availableReplicas": 2,
                "conditions": [
                    {"type": "Available", "status": "False", "reason": "ProgressDeadlineExceeded"},
                    {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
                ],
            },
        }))
        .expect("a Deployment");
        let expected = Rollout {
            observed_generation: 9,
            replicas: 4,
            updated: 3,
            total: 5,
            available: 2,
            paused: true,
            deadline_exceeded: true,
        };
        assert_eq!(Rollout::read(&deployment), expected);
        assert_eq!(expected.progress(), "3 of 4 pods are up to date, 2 available");

        let mut fresh = deployment;
        fresh.spec.replicas = None;
        let status = fresh.status.as_mut().expect("a status");
        status.conditions.as_mut().expect("conditions").pop();
        let read = Rollout::read(&fresh);
        assert_eq!((read.replicas, read.deadline_exceeded), (1, false));
    }
}
