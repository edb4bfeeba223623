//! What code asks of the world while it is configured: who provides a key, and with which value.
//!
//! Each question is remembered with the digest of its answer, so that code is run again exactly when one of its
//! questions has another answer.

use std::sync::{Arc, PoisonError};

use minijinja::value::Value;

use super::World;
use crate::template::cause;

/// A question of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Query {
    pub(crate) key: String,
    /// Only what this host provides: `same`, or a name.
    pub(crate) host: Option<String>,
}

/// What a provider gives.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) value: Value,
}

/// A question that was asked, and the digest of what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) query: Query,
    pub(crate) digest: blake3::Hash,
}

/// What was answered.
pub(super) struct Answer {
    found: Arc<Vec<Found>>,
    /// The causes that an answer is for whoever asked.
    causes: Vec<(String, String)>,
    digest: blake3::Hash,
}

impl World {
    /// Who provides a key, by host, component and order of declaration. A value that cannot be computed yet is left
    /// out. The question is remembered, and what was found is noted as used.
    pub(crate) fn ask(self: &Arc<Self>, index: usize, query: &Query) -> Arc<Vec<Found>> {
        let answer = self.answer(index, query);
        for (name, digest) in &answer.causes {
            cause::record(name.clone(), digest.clone());
        }
        let asked = Asked { query: query.clone(), digest: answer.digest };
        self.asked[index].lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        Arc::clone(&answer.found)
    }

    /// What an instance asked since the world was made.
    pub(crate) fn take_asked(&self, index: usize) -> Vec<Asked> {
        std::mem::take(&mut *self.asked[index].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a question has the answer that it had.
    pub(crate) fn still(self: &Arc<Self>, index: usize, asked: &Asked) -> bool {
        self.answer(index, &asked.query).digest == asked.digest
    }

    fn answer(self: &Arc<Self>, index: usize, query: &Query) -> Arc<Answer> {
        let host = query.host.as_deref().map(|host| self.model.meant_host(index, host));
        let query = Query { key: query.key.clone(), host };
        let answered = || self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answered().get(&query) {
            return Arc::clone(answer);
        }
        let answer = Arc::new(self.find(&query));
        Arc::clone(answered().entry(query).or_insert(answer))
    }

    fn find(self: &Arc<Self>, query: &Query) -> Answer {
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
            found.push(Found { value: provided.value.clone() });
        }
        if found.is_empty() {
            causes.push((format!("resource {}", query.key), cause::digest(b"")));
        }
        Answer { found: Arc::new(found), causes, digest: hasher.finalize() }
    }
}
