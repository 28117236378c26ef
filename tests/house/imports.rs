//! Finds which files of a crate name something from which other files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Macro, Meta, Visibility};

use crate::modules::{self, Import, Module, Modules, ROOT, Read, is_test, plain};

/// From each file to the files that it imports, with the imported names.
pub(crate) type Imports = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// Adds the imports of the crate whose first file is `root`.
pub(crate) fn add_crate(root: &Path, read: Read<'_>, found: &mut Imports) {
    let modules = Modules::read(root, read);
    for number in 0..modules.all.len() {
        let mut finder = Finder { modules: &modules, module: number, found };
        modules.all[number].items.iter().for_each(|item| finder.visit_item(item));
    }
}

/// Looks through the code of one module.
struct Finder<'m> {
    modules: &'m Modules,
    module: usize,
    found: &'m mut Imports,
}

/// What a path leads to.
enum Named {
    Module(usize),
    Item(usize),
    /// Something from another crate, under the name that a module of this crate gives it.
    Elsewhere,
}

impl Finder<'_> {
    fn module(&self) -> &Module {
        &self.modules.all[self.module]
    }

    /// Records the files that a path leads to.
    fn note(&mut self, path: &[String]) {
        let mut search = Search::new(self.modules);
        let end = search.named(self.module, path);
        let mut passed = search.passed;
        match end {
            None => return,
            // A variable with the same name as a module.
            Some(Named::Module(_)) if path.len() == 1 => return,
            // A path into a folder names the front of the folder on its way.
            Some(Named::Module(module)) if self.modules.all[module].is_front() => {}
            Some(Named::Module(module) | Named::Item(module)) => passed.push(module),
            Some(Named::Elsewhere) => {}
        }
        let from = self.module().file.clone();
        for module in passed {
            let to = &self.modules.all[module].file;
            if *to != from {
                let names = self.found.entry(from.clone()).or_default();
                names.entry(to.clone()).or_default().insert(path.join("::"));
            }
        }
    }

    /// Paths in the arguments of a macro or an attribute, which only the macro can parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let is = |at: usize, sign: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    // The name of a field or a method, or the rest of a path that begins with `::`.
                    let is_part =
                        at > 0 && (is(at - 1, '.') || is(at - 1, ':') && at > 1 && is(at - 2, ':'));
                    let mut path = vec![plain(first)];
                    while is(at + 1, ':')
                        && is(at + 2, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        path.push(plain(next));
                        at += 3;
                    }
                    let is_called = matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    let is_type = path[0].starts_with(char::is_uppercase);
                    let defined_in = self.modules.macros.get(&path[path.len() - 1]);
                    if is(at + 1, '!')
                        && let Some(&module) = defined_in
                    {
                        self.note_macro(module, &path);
                    } else if !is_part && (path.len() > 1 || is_called || is_type) {
                        self.note(&path);
                    }
                }
                // `#[serde(with = "crate::dates")]`
                TokenTree::Literal(literal) => {
                    let literal = literal.to_string();
                    let path: Vec<_> = literal.trim_matches('"').split("::").collect();
                    if path.len() > 1
                        && path.iter().all(|name| syn::parse_str::<syn::PathSegment>(name).is_ok())
                    {
                        self.note(&path.into_iter().map(str::to_owned).collect::<Vec<_>>());
                    }
                }
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(modules::attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_left_out = matches!(item, ImplItem::Fn(function) if is_test(&function.attrs));
        if !is_left_out {
            visit::visit_impl_item(self, item);
        }
    }

    /// A module inside a function has its own scope, which this search does not follow.
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        panic!("{}: a module inside a function: {}", self.module().file.display(), item.ident);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited) && self.module().is_front();
        if item.leading_colon.is_some() || is_reexport {
            return;
        }
        let mut found = Vec::new();
        modules::spread(&item.tree, &mut Vec::new(), &mut found);
        for import in found {
            self.note(&import.path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.note(&path.segments.iter().map(|it| plain(&it.ident)).collect::<Vec<_>>());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        let path: Vec<_> = called.path.segments.iter().map(|it| plain(&it.ident)).collect();
        match path.last().and_then(|name| self.modules.macros.get(name)) {
            Some(&module) => self.note_macro(module, &path),
            None => self.visit_path(&called.path),
        }
        self.tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) => self.tokens(list.tokens.clone()),
            Meta::NameValue(pair) if !pair.path.is_ident("doc") => self.visit_expr(&pair.value),
            _ => {}
        }
    }

    /// `pub(in crate::write)` restricts who can name something, and imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

impl Finder<'_> {
    /// The name of a macro belongs to the file that defines it, wherever it is imported from.
    fn note_macro(&mut self, defined_in: usize, path: &[String]) {
        let (from, to) = (&self.module().file, &self.modules.all[defined_in].file);
        if from != to {
            let (from, to) = (from.clone(), to.clone());
            let names = self.found.entry(from).or_default().entry(to).or_default();
            names.insert(path.join("::") + "!");
        }
    }
}

/// One search for what a path leads to.
struct Search<'m> {
    modules: &'m Modules,
    /// The files that pass the name on, without fronts.
    passed: Vec<usize>,
    /// `use a::a` imports an `a` that is not the one the path begins with.
    under_way: Vec<&'m Import>,
}

impl<'m> Search<'m> {
    fn new(modules: &'m Modules) -> Self {
        Self { modules, passed: Vec::new(), under_way: Vec::new() }
    }

    /// What a path leads to from inside a module, if the crate has a name for it.
    fn named(&mut self, from: usize, path: &[String]) -> Option<Named> {
        let all = &self.modules.all;
        let mut at = from;
        for (number, name) in path.iter().enumerate() {
            match name.as_str() {
                "self" => {}
                "Self" => return None,
                "crate" => at = ROOT,
                "super" => at = all[at].parent,
                name => {
                    if let Some(child) = all[at].children.get(name) {
                        at = *child;
                        continue;
                    }
                    let member = self.member(at, name, &path[number + 1..]);
                    if member.is_some() || number == 0 {
                        return member;
                    }
                    // A macro made what the crate does not show, in the module that the path leads into.
                    return Some(Named::Item(*self.modules.macros.get(name).unwrap_or(&at)));
                }
            }
        }
        Some(Named::Module(at))
    }

    /// What a name means in a module, unless it is a module inside it; `rest` continues from there.
    fn member(&mut self, at: usize, name: &str, rest: &[String]) -> Option<Named> {
        let module = &self.modules.all[at];
        if module.defined.contains(name) {
            return Some(Named::Item(at));
        }
        let by_name = |import: &&Import| import.name.as_deref() == Some(name);
        for import in module.imports.iter().filter(by_name) {
            let path: Vec<_> = import.path.iter().chain(rest).cloned().collect();
            if let Some(named) = self.within(import, |search| Some(search.named(at, &path))) {
                self.passed.extend((!module.is_front()).then_some(at));
                return Some(named.unwrap_or(Named::Elsewhere));
            }
        }
        for glob in module.imports.iter().filter(|import| import.name.is_none()) {
            let found = self.within(glob, |search| match search.named(at, &glob.path)? {
                Named::Module(inside) => match search.modules.all[inside].children.get(name) {
                    Some(child) => search.named(*child, rest),
                    None => search.member(inside, name, rest),
                },
                Named::Item(_) | Named::Elsewhere => None,
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Follows an import unless it is being followed already.
    fn within<T>(
        &mut self,
        import: &'m Import,
        follow: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        if self.under_way.iter().any(|other| std::ptr::eq(*other, import)) {
            return None;
        }
        self.under_way.push(import);
        let found = follow(self);
        self.under_way.pop();
        found
    }
}
