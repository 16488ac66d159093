//! Rules for Rust sources, checked on their syntax trees so that comments and strings cannot mislead.

use std::path::PathBuf;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::rules::Exceptions;
use crate::workspace::Workspace;

/// A function fits a screen.
const FUNCTION_LINES: usize = 70;

/// A file has one subject.
const FILE_LINES: usize = 800;

/// Words that say nothing about what a type is.
const EMPTY_WORDS: [&str; 4] = ["Manager", "Helper", "Util", "Processor"];

/// Macros for work that is not done or not finished.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Everything that is wrong with the Rust files among `files`.
pub(crate) fn check(workspace: &Workspace, files: &[PathBuf]) -> anyhow::Result<Vec<Finding>> {
    let long_files = Exceptions::read(workspace, "long_files.txt")?;
    let long_functions = Exceptions::read(workspace, "long_functions.txt")?;
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
    {
        let path = workspace.relative(file);
        let source = std::fs::read_to_string(file)?;
        let lines = source.lines().count();
        if lines > FILE_LINES && !long_files.allow(&path) {
            findings.push(Finding::new(
                &path,
                format!("{lines} lines, {FILE_LINES} are allowed: split it"),
            ));
        }
        match syn::parse_file(&source) {
            Ok(tree) => findings.extend(check_file(&path, &tree, &long_functions)),
            Err(error) => findings.push(Finding::new(&path, format!("is not Rust: {error}"))),
        }
    }
    findings.extend(long_files.unused());
    findings.extend(long_functions.unused());
    Ok(findings)
}

fn check_file(path: &str, tree: &syn::File, long_functions: &Exceptions) -> Vec<Finding> {
    let mut reader = Reader {
        path,
        long_functions,
        in_tests: path.contains("/tests/"),
        findings: Vec::new(),
    };
    if !tree
        .attrs
        .iter()
        .any(|attribute| attribute.path().is_ident("doc"))
    {
        reader
            .findings
            .push(Finding::new(path, "must begin with a module doc (`//!`)"));
    }
    reader.visit_file(tree);
    reader.findings
}

/// Walks one file.
struct Reader<'a> {
    path: &'a str,
    long_functions: &'a Exceptions,
    /// Inside code that exists for tests only.
    in_tests: bool,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn report(&mut self, spanned: &impl Spanned, what: impl Into<String>) {
        let place = format!("{}:{}", self.path, spanned.span().start().line);
        self.findings.push(Finding::new(place, what));
    }

    fn check_length(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block
            .span()
            .end()
            .line
            .saturating_sub(signature.span().start().line)
            + 1;
        let name = format!("{}::{}", self.path, signature.ident);
        if lines > FUNCTION_LINES && !self.long_functions.allow(&name) {
            let what = format!(
                "`{}` has {lines} lines, {FUNCTION_LINES} are allowed",
                signature.ident
            );
            self.report(signature, what);
        }
    }

    fn check_name(&mut self, name: &syn::Ident) {
        let text = name.to_string();
        if let Some(word) = EMPTY_WORDS.iter().find(|word| text.contains(**word)) {
            self.report(
                name,
                format!("`{text}`: `{word}` says nothing about what it is"),
            );
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let outside = self.in_tests;
        self.in_tests |= module.attrs.iter().any(is_cfg_test);
        visit::visit_item_mod(self, module);
        self.in_tests = outside;
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check_length(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check_length(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.check_name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.check_name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.check_name(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.check_name(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        if let Some(name) = UNFINISHED
            .iter()
            .find(|name| invocation.path.is_ident(**name))
        {
            self.report(invocation, format!("`{name}!` is for work in progress"));
        }
        visit::visit_macro(self, invocation);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("ignore") {
            self.report(attribute, "a test that is ignored proves nothing");
        }
        // Each test program compiles the shared module of its folder and uses a part of it.
        let is_shared_by_tests = self.path.contains("/tests/common/");
        if attribute.path().is_ident("allow")
            && mentions(attribute, "dead_code")
            && !is_shared_by_tests
        {
            self.report(attribute, "dead code is removed, not allowed");
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(callee) = call.func.as_ref()
            && self.in_tests
            && callee
                .path
                .segments
                .last()
                .is_some_and(|segment| segment.ident == "sleep")
        {
            self.report(call, "a test waits for what it needs, it does not sleep");
        }
        visit::visit_expr_call(self, call);
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && mentions(attribute, "test")
}

/// Whether a word stands among the arguments of an attribute.
fn mentions(attribute: &syn::Attribute, word: &str) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.tokens
        .clone()
        .into_iter()
        .any(|token| token.to_string() == word)
}

#[cfg(test)]
mod tests {
    use super::{Finding, check_file};
    use crate::tidy::rules::Exceptions;
    use crate::workspace::Workspace;

    fn findings(path: &str, source: &str) -> Vec<String> {
        let workspace = Workspace::find().unwrap();
        let exceptions = Exceptions::read(&workspace, "long_functions.txt").unwrap();
        let found = check_file(path, &syn::parse_file(source).unwrap(), &exceptions);
        found
            .into_iter()
            .map(|Finding { place, what }| format!("{place}: {what}"))
            .collect()
    }

    #[test]
    fn a_clean_file_has_no_findings() {
        assert!(findings("core/x/src/lib.rs", "//! Words.\nfn main() {}\n").is_empty());
    }

    #[test]
    fn a_missing_module_doc_is_found() {
        let found = findings("core/x/src/lib.rs", "fn main() {}\n");
        assert_eq!(
            found,
            ["core/x/src/lib.rs: must begin with a module doc (`//!`)"]
        );
    }

    #[test]
    fn a_function_may_have_seventy_lines_and_no_more() {
        let function = |lines: usize| {
            format!(
                "//! Words.\nfn f() {{\n{}}}\n",
                "    x();\n".repeat(lines - 2)
            )
        };
        assert!(findings("a.rs", &function(70)).is_empty());
        assert_eq!(
            findings("a.rs", &function(71)),
            ["a.rs:2: `f` has 71 lines, 70 are allowed"]
        );
    }

    #[test]
    fn names_that_say_nothing_are_found_and_words_in_comments_are_not() {
        let source = "//! Words.\n// A Manager in a comment.\nstruct TreeManager;\n";
        assert_eq!(findings("a.rs", source).len(), 1);
    }

    #[test]
    fn sleep_is_found_in_tests_only() {
        let source = "//! Words.\nfn f() { thread::sleep(d); }\n#[cfg(test)]\nmod tests { fn g() { thread::sleep(d); } }\n";
        assert_eq!(
            findings("a.rs", source),
            ["a.rs:4: a test waits for what it needs, it does not sleep"]
        );
        assert_eq!(findings("x/tests/a.rs", source).len(), 2);
    }

    #[test]
    fn ignored_tests_dead_code_and_unfinished_work_are_found() {
        let source = "//! Words.\n#[ignore]\nfn f() { todo!() }\n#[allow(dead_code)]\nfn g() {}\n";
        assert_eq!(findings("a.rs", source).len(), 3);
    }
}
