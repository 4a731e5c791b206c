//! Deployments: Secrets first, then one server-side apply that carries the uid.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};

use crate::{
    api::FIELD_MANAGER,
    compose::{DeploymentPlan, Outcome, live_deployment},
};

use super::{Writer, error::WriteError};

impl Writer {
    /// Brings a Deployment to its plan; an object that is as planned is not touched.
    ///
    /// # Errors
    /// The failed write, for the caller's back-off; [`WriteError::failure`] says what it means.
    pub async fn deployment(&self, namespace: &str, plan: &DeploymentPlan) -> Result<Outcome, WriteError> {
        for secret in &plan.secrets {
            self.ensure_secret(namespace, &plan.name, secret).await?;
        }
        let Some(patch) = &plan.apply else {
            return Ok(Outcome::Done { generation: plan.generation, changed: false, rollout: plan.rollout.clone() });
        };
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        // Never forced: what another manager holds is a conflict for a person to see.
        let params = PatchParams::apply(FIELD_MANAGER);
        let after = self.send("patch", "deployments", api.patch(&plan.name, &params, &Patch::Apply(patch))).await?;
        let after = live_deployment(&after);
        let changed = after.generation != plan.generation;
        tracing::info!(namespace, deployment = plan.name, generation = after.generation, changed, "applied");
        Ok(Outcome::Done { generation: after.generation, changed, rollout: after.rollout })
    }
}
