//! What the webhook needs in the cluster: a Secret with its certificate, and the authorities that its callers trust.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::api::{FIELD_MANAGER, LABEL_MANAGED_BY, WEBHOOK_SECRET};

use super::{WriteError, Writer};

impl Writer {
    /// Keeps a certificate in the Secret of the webhook: made, or put in the place of what was found there. Of two that
    /// do so at once, one is told that it was overtaken.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn keep_certificate(
        &self,
        namespace: &str,
        found: Option<&Secret>,
        data: BTreeMap<String, ByteString>,
    ) -> Result<(), WriteError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        let written = match found {
            None => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(WEBHOOK_SECRET.to_owned()),
                        labels: Some(BTreeMap::from([(LABEL_MANAGED_BY.to_owned(), FIELD_MANAGER.to_owned())])),
                        ..Default::default()
                    },
                    type_: Some("kubernetes.io/tls".to_owned()),
                    data: Some(data),
                    ..Default::default()
                };
                self.send("create", "secrets", api.create(&params, &secret)).await
            }
            Some(found) => {
                // With the version that was found: what somebody else has written since is not overwritten.
                let secret = Secret { data: Some(data), ..found.clone() };
                self.send("update", "secrets", api.replace(WEBHOOK_SECRET, &params, &secret)).await
            }
        };
        match written {
            Ok(_) => Ok(()),
            Err(error) if error.is_code(409) => Err(WriteError::Overtaken),
            Err(error) => Err(error),
        }
    }

    /// Lets whoever calls the webhook trust these authorities (PEM) and no others, where that is not so yet.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn trust(
        &self,
        configuration: &ValidatingWebhookConfiguration,
        authorities: &str,
    ) -> Result<(), WriteError> {
        let wanted = ByteString(authorities.as_bytes().to_vec());
        let webhooks = configuration.webhooks.iter().flatten().enumerate();
        let changes: Vec<_> = webhooks
            .filter(|(_, webhook)| webhook.client_config.ca_bundle.as_ref() != Some(&wanted))
            .flat_map(|(i, webhook)| {
                let path = |field: &str| format!("/webhooks/{i}/{field}");
                // The place in the list is the webhook's only as long as its name stands there.
                [
                    json!({"op": "test", "path": path("name"), "value": webhook.name}),
                    json!({"op": "add", "path": path("clientConfig/caBundle"), "value": wanted}),
                ]
            })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let patch: json_patch::Patch =
            serde_json::from_value(changes.into()).map_err(|error| WriteError::Unsendable(error.to_string()))?;
        let api: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
        let name = configuration.metadata.name.as_deref().unwrap_or_default();
        let patch = Patch::<()>::Json(patch);
        self.send("patch", "validatingwebhookconfigurations", api.patch(name, &params, &patch)).await?;
        tracing::info!(configuration = name, "the webhook's authorities are trusted now");
        Ok(())
    }
}
