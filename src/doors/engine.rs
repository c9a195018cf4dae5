//! The engine as the doors' workshop.

use std::sync::Arc;

use crate::compilers::Compiler;
use crate::compilers::views::{self, Fields};
use crate::domain::class::{self, Class, Classify as _};
use crate::domain::ids::LanguageId;
use crate::doors::workshop::{Failure, Job, Listing, Workshop};
use crate::engine::{Answer, CompileError, CompileJob, Engine, Rendition, RequestKey};
use crate::text;

impl Workshop for Engine {
    type Compiler = Arc<Compiler>;
    type Key = RequestKey;

    fn find(&self, language: Option<&LanguageId>, id: &str) -> Option<Arc<Compiler>> {
        self.catalogue().find(language, id)
    }

    fn key(&self, parts: &[&[u8]]) -> RequestKey {
        Self::key(self, parts)
    }

    async fn recall(&self, key: &RequestKey) -> Option<Answer> {
        Self::recall(self, key).await
    }

    fn is_busy(&self) -> bool {
        Self::is_busy(self)
    }

    async fn room(&self) -> usize {
        Self::room(self).await
    }

    async fn compile(&self, job: Job<Self>) -> Result<Answer, Failure> {
        let Job { key, compiler, request, rendition, deadline, waited, terms } = job;
        let job = CompileJob { key, compiler, request, rendition, deadline, waited, terms };
        Self::compile(self, job).await.map_err(|error: CompileError| Failure {
            class: error.class(),
            message: class::chain(&error),
            retry_after: error.retry_after(),
        })
    }

    fn split(line: &str) -> Vec<String> {
        text::arguments::split(line)
    }

    fn list(
        &self,
        listing: Listing<'_>,
        fields: Option<&str>,
        rendition: Rendition,
    ) -> Result<Vec<u8>, Failure> {
        let (catalogue, fields) = (self.catalogue(), Fields::parse(fields));
        let json = match (listing, rendition) {
            (Listing::Compilers(language), Rendition::Text) => {
                return Ok(views::compilers_text(&catalogue, language).into_bytes());
            }
            (Listing::Languages, Rendition::Text) => {
                return Ok(views::languages_text(&catalogue).into_bytes());
            }
            (Listing::Compilers(language), Rendition::Json) => {
                views::compilers(&catalogue, language, &fields, |compiler| self.capabilities(compiler))
            }
            (Listing::Languages, Rendition::Json) => views::languages(&catalogue, &fields),
            // Nothing here knows libraries or tools yet: none is what an installation without any has.
            (Listing::Libraries(None), _) => return Ok(b"{}".to_vec()),
            (Listing::Libraries(Some(_)) | Listing::Tools(_), _) => return Ok(b"[]".to_vec()),
        };
        json.map_err(|error| Failure {
            class: Class::Internal,
            message: format!("could not write the listing: {error}"),
            retry_after: None,
        })
    }

    fn clear_caches(&self) {
        Self::clear_caches(self);
    }
}
