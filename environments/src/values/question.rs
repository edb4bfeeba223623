//! What code asks while it is configured: who provides a key, and with which value.
//!
//! Each question is remembered with the digest of its answer, so that code is run again exactly when one of its
//! questions has another answer.

use std::sync::{Arc, PoisonError};

use minijinja::value::Value;

use super::LazyValues;
use super::answer::{Asked, ProvidedAnswer, Query};
use crate::template::cause;

impl LazyValues {
    /// Who provides a key, by host, component and order of declaration. A value that cannot be computed yet is left
    /// out. The question is remembered, and what was found is noted as used.
    pub(crate) fn ask(self: &Arc<Self>, index: usize, query: &Query) -> Arc<Vec<Value>> {
        let answer = self.answer(index, query);
        for (name, digest) in &answer.causes {
            cause::record(name.clone(), digest.clone());
        }
        let asked = Asked { query: query.clone(), digest: answer.digest };
        self.asked[index].lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        Arc::clone(&answer.found)
    }

    /// What an instance asked since these values were made.
    pub(crate) fn take_asked(&self, index: usize) -> Vec<Asked> {
        std::mem::take(&mut *self.asked[index].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a question still has the answer that it had.
    pub(crate) fn still(self: &Arc<Self>, index: usize, asked: &Asked) -> bool {
        self.answer(index, &asked.query).digest == asked.digest
    }

    fn answer(self: &Arc<Self>, index: usize, query: &Query) -> Arc<ProvidedAnswer> {
        let host = query.host.as_deref().map(|host| self.model.meant_host(index, host));
        let query = Query { key: query.key.clone(), host };
        let answered = || self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answered().get(&query) {
            return Arc::clone(answer);
        }
        let answer = Arc::new(self.find(&query));
        Arc::clone(answered().entry(query).or_insert(answer))
    }

    fn find(self: &Arc<Self>, query: &Query) -> ProvidedAnswer {
        let (mut found, mut causes) = (Vec::new(), Vec::new());
        let mut hasher = blake3::Hasher::new();
        for provider in self.connections.offers.of(&self.model, &query.key, query.host.as_deref()) {
            let Some(provided) = self.provided(*provider) else { continue };
            let host = self.model.host(provider.instance).name.clone();
            let component = self.instance(provider.instance).component.name.clone();
            causes.push((format!("resource {} from {host}/{component}", query.key), provided.digest.clone()));
            let kind = format!("{:?}", provided.value.kind());
            for part in [host.as_str(), &component, &kind, &provided.digest] {
                hasher.update(part.as_bytes()).update(b"\0");
            }
            found.push(provided.value.clone());
        }
        if found.is_empty() {
            causes.push((format!("resource {}", query.key), cause::digest(b"")));
        }
        ProvidedAnswer { found: Arc::new(found), causes, digest: hasher.finalize() }
    }
}
