//! Who names Secrets of ours: Deployments, ReplicaSets and Pods, asked of the API server when a Secret is to go.

use std::{sync::Arc, time::Instant};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value as Json;
use tokio::sync::Mutex;

use crate::compose::{Census, Users};

use super::{
    read::{READ_TIMEOUT, ReadError, Reader},
    watch::PAGE,
};

/// What was found last.
#[derive(Clone, Default)]
pub(super) struct LastReading(Arc<Mutex<Option<Reading>>>);

struct Reading {
    namespace: String,
    begun: Instant,
    users: Arc<Users>,
}

impl Reader {
    /// Who names Secrets of ours in a namespace, read not before this call.
    ///
    /// One reading at a time, which bounds the memory that it takes; those that wait for it meanwhile share the next.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn users(&self, namespace: &str) -> Result<Arc<Users>, ReadError> {
        let asked = Instant::now();
        let mut last = self.last_reading.0.lock().await;
        if let Some(reading) = last.as_ref()
            && reading.namespace == namespace
            && reading.begun >= asked
        {
            return Ok(Arc::clone(&reading.users));
        }
        let begun = Instant::now();
        let mut census = Census::default();
        self.each::<Deployment>(namespace, |meta, object| census.deployment(meta, object)).await?;
        self.each::<ReplicaSet>(namespace, |meta, object| census.replica_set(meta, object)).await?;
        self.each::<Pod>(namespace, |meta, object| census.pod(meta, object)).await?;
        let users = Arc::new(census.users());
        *last = Some(Reading { namespace: namespace.to_owned(), begun, users: Arc::clone(&users) });
        Ok(users)
    }

    /// Lists a namespace's objects of a kind, by pages.
    async fn each<K>(&self, namespace: &str, mut take: impl FnMut(&ObjectMeta, &Json)) -> Result<(), ReadError>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let what = || format!("the {} of namespace {namespace}", resource.plural);
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = tokio::time::timeout(READ_TIMEOUT, api.list(&params)).await;
            let page = page.map_err(|_| ReadError::TimedOut(what()))?;
            let page = page.map_err(|source| ReadError::Api { what: what(), source })?;
            page.items.iter().for_each(|object| take(&object.metadata, &object.data));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }
}
