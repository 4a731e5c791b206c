//! NetworkPolicies in front of Timbr's Deployments: made, and written over whole where they are ours.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};

use crate::{
    api::FIELD_MANAGER,
    compose::{LiveNetwork, NetworkPlan, NetworkStep, live_network},
};

use super::{Writer, error::WriteError, secret::overtaken};

const RESOURCE: &str = "networkpolicies";

impl Writer {
    /// Sends the request of a plan; returns what is there then.
    ///
    /// # Errors
    /// The failed write.
    pub async fn network_policy(&self, namespace: &str, plan: &NetworkPlan) -> Result<Option<LiveNetwork>, WriteError> {
        let api: Api<NetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
        let name = &plan.name;
        match &plan.next {
            NetworkStep::Apply { manifest, version } => {
                let mut manifest = manifest.clone();
                manifest.metadata.resource_version.clone_from(version);
                let params = PatchParams::apply(FIELD_MANAGER);
                // Of one that is ours everything is; of one that is there all the same, nothing.
                let params = if version.is_some() { params.force() } else { params };
                let written = self.send("patch", RESOURCE, api.patch(name, &params, &Patch::Apply(&manifest))).await;
                let written = if version.is_some() { written.map_err(overtaken)? } else { written? };
                tracing::info!(namespace, network_policy = name, "written");
                Ok(Some(live_network(written)))
            }
            NetworkStep::Delete { uid, version } => {
                let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: Some(version.clone()) };
                let params = DeleteParams::default().preconditions(preconditions);
                match self.send("delete", RESOURCE, api.delete(name, &params)).await {
                    Err(error) if !error.is_code(404) => Err(overtaken(error)),
                    _ => {
                        tracing::info!(
                            namespace,
                            network_policy = name,
                            "deleted: no access policy asks for it any more"
                        );
                        Ok(None)
                    }
                }
            }
        }
    }
}
