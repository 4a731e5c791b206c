//! NetworkPolicies in front of Timbr's Deployments: made, and written over whole where they are ours.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams, PostParams, Preconditions},
};

use crate::{
    api::{ANNOTATION_NOTE, Code, FIELD_MANAGER},
    compose::{LiveNetwork, NetworkPlan, NetworkStep, live_network},
};

use super::{
    Writer,
    error::{WriteError, overtaken},
};

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
                let written = match version {
                    // What is there by now is looked at first: it may be anybody's.
                    None => {
                        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
                        self.send("create", RESOURCE, api.create(&params, manifest)).await
                    }
                    Some(version) => {
                        let mut manifest = manifest.clone();
                        manifest.metadata.resource_version = Some(version.clone());
                        // What somebody added is none of ours, and goes.
                        manifest.spec.get_or_insert_default().egress.get_or_insert_default();
                        // Ours: forced over what anybody else wrote there.
                        let params = PatchParams::apply(FIELD_MANAGER).force();
                        self.send("patch", RESOURCE, api.patch(name, &params, &Patch::Apply(&manifest))).await
                    }
                };
                let written = written.map_err(overtaken)?;
                tracing::info!(namespace, network_policy = name, "written");
                let note = manifest.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION_NOTE)).cloned();
                self.tell(&written.object_ref(&()), Code::NetworkPolicyStays, note).await;
                Ok(Some(live_network(written)))
            }
            NetworkStep::Delete { uid, version } => {
                let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: Some(version.clone()) };
                self.delete_exactly(&api, RESOURCE, name, preconditions).await?;
                tracing::info!(namespace, network_policy = name, "deleted: no access policy asks for it any more");
                Ok(None)
            }
        }
    }
}
