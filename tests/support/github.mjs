// GitHub as far as export-pr speaks to it: repositories with real object ids, branches, forks, pull requests, and what it refuses. In front of it stands prism
// (npm @stoplight/prism-cli) with the description that GitHub publishes (npm @octokit/openapi): every request must be one of it.
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterwards, source, temporaryFolder, until } from './host.mjs';
import { answers, freePort } from './servers.mjs';

const require = createRequire(join(source, 'tests/package.json'));

/** The paths that a pull request or a new repository may need. */
const used = ['/repos/{owner}/{repo}', '/repos/{owner}/{repo}/forks', '/repos/{owner}/{repo}/branches/{branch}', '/repos/{owner}/{repo}/git/ref/{ref}', '/repos/{owner}/{repo}/git/matching-refs/{ref}',
  '/repos/{owner}/{repo}/git/refs', '/repos/{owner}/{repo}/git/refs/{ref}', '/repos/{owner}/{repo}/git/blobs', '/repos/{owner}/{repo}/git/trees', '/repos/{owner}/{repo}/git/trees/{tree_sha}',
  '/repos/{owner}/{repo}/git/commits', '/repos/{owner}/{repo}/git/commits/{commit_sha}', '/repos/{owner}/{repo}/pulls', '/repos/{owner}/{repo}/pulls/{pull_number}',
  '/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers', '/repos/{owner}/{repo}/pulls/{pull_number}/reviews', '/repos/{owner}/{repo}/issues/{issue_number}', '/repos/{owner}/{repo}/issues/{issue_number}/labels',
  '/repos/{owner}/{repo}/issues/{issue_number}/assignees', '/user', '/user/repos', '/orgs/{org}/repos', '/repos/{template_owner}/{template_repo}/generate'];

/** prism with GitHub's description before a server. Returns {url, violations}: what the requests broke. */
export async function startPrism(t, target) {
  const folder = temporaryFolder(t);
  const whole = JSON.parse(readFileSync(require.resolve('@octokit/openapi/generated/api.github.com.deref.json'), 'utf8'));
  const description = join(folder, 'github.json');
  // The servers go, too: prism would send requests there.
  writeFileSync(description, JSON.stringify({ openapi: whole.openapi, info: whole.info, paths: Object.fromEntries(used.map(path => [path, whole.paths[path]])) }));
  const port = await freePort();
  const program = join(source, 'tests/node_modules/@stoplight/prism-cli/dist/index.js');
  const prism = spawn(process.execPath, [program, 'proxy', '-h', '127.0.0.1', '-p', String(port), description, target], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [prism.stdout, prism.stderr]) stream.on('data', chunk => { log += chunk; });
  const ended = new Promise(done => prism.on('close', done));
  afterwards(t, () => { prism.kill('SIGKILL'); return ended; });
  await until(() => {
    if (prism.exitCode !== null) throw new Error(`prism did not start:\n${log}`);
    return answers(port);
  }, 'the start of prism', 120_000);
  return { url: `http://127.0.0.1:${port}`, get log() { return log; } };
}

const hash = (type, bytes) => createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');
const problem = (status, message, more = {}) => ({ status, body: { message, documentation_url: 'https://docs.github.com/rest', status: String(status), ...more }, headers: more.headers });
const missing = () => problem(404, 'Not Found');

class Repository {
  constructor(name, { branch = 'main', files = { 'README.md': '# hello\n' }, push = true, archived = false, forking = true, private: hidden = false } = {}) {
    Object.assign(this, { name, branch, push, archived, forking, hidden, branches: new Map(), pulls: [], labels: new Map() });
    this.first = files;
  }
}

export class GitHub {
  /** repositories: {"owner/name": options of Repository}. user: the token's. */
  constructor(t, { token, user = 'bot', repositories = {}, people = [] }) {
    Object.assign(this, { t, token, user, people, requests: [], blobs: new Map(), trees: new Map(), commits: new Map() });
    this.repositories = new Map(Object.entries(repositories).map(([name, options]) => [name, new Repository(name, options)]));
    for (const repository of this.repositories.values()) if (repository.first) this.commit(repository.name, repository.branch, repository.first, 'begin\n');
  }

  async start() {
    const server = http.createServer((request, response) => {
      const chunks = [];
      request.on('data', chunk => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const url = new URL(request.url, 'http://github');
        const seen = { method: request.method, raw: url.pathname, path: url.pathname.replace(/^\/api\/v3/, ''), query: Object.fromEntries(url.searchParams), headers: request.headers, number: this.requests.length + 1 };
        try { seen.body = text ? JSON.parse(text) : undefined; } catch { seen.broken = true; }
        this.requests.push(seen);
        const answer = this.refuse?.(seen) ?? this.answer(seen);
        const { status, body, headers = {} } = answer;
        const finish = () => { response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }); response.end(body === undefined ? '' : JSON.stringify(body)); };
        this.before?.(seen, answer, finish, response) ?? finish();
      });
    });
    this.connections = 0;
    server.on('connection', () => { this.connections++; });
    server.keepAliveTimeout = 60_000; // as GitHub's
    await new Promise(done => server.listen(0, '127.0.0.1', done));
    this.api = `http://127.0.0.1:${server.address().port}`;
    /** Ends the connections that are open, as a service does that was idle for long. */
    this.drop = async () => { server.closeAllConnections(); };
    this.close = () => new Promise(done => { server.close(done); server.closeAllConnections(); });
    afterwards(this.t, () => this.close());
    return this;
  }

  /** A further repository. */
  add(name, options) {
    const repository = new Repository(name, options);
    this.repositories.set(name, repository);
    if (repository.first) this.commit(name, repository.branch, repository.first, 'begin\n');
    return repository;
  }

  /** What a branch holds: {path: {mode, bytes}}. */
  files(name, branch) {
    const tree = this.flat(this.commits.get(this.repositories.get(name).branches.get(branch)).tree);
    return Object.fromEntries([...tree].map(([path, { mode, sha }]) => [path, { mode, bytes: this.blobs.get(sha) }]));
  }

  changed(name, from, to) {
    const [before, after] = [from, to].map(branch => this.flat(this.commits.get(this.repositories.get(name).branches.get(branch)).tree));
    return [...new Set([...before.keys(), ...after.keys()])].filter(path => before.get(path)?.sha !== after.get(path)?.sha || before.get(path)?.mode !== after.get(path)?.mode).sort();
  }

  /** How many commits to has that from lacks, along the first parents. */
  ahead(name, from, to) {
    const { branches } = this.repositories.get(name);
    let count = 0;
    for (let sha = branches.get(to); sha && sha !== branches.get(from); sha = this.commits.get(sha).parents[0]) count++;
    return count;
  }

  blob(bytes) {
    const sha = hash('blob', bytes);
    this.blobs.set(sha, bytes);
    return sha;
  }

  /** entries: Map of path to {mode, sha}. The trees of a repository, as git makes them. */
  tree(entries) {
    const folders = new Map(), own = [];
    for (const [path, entry] of entries) {
      const slash = path.indexOf('/');
      if (slash < 0) own.push({ name: path, ...entry });
      else {
        const folder = path.slice(0, slash);
        if (!folders.has(folder)) folders.set(folder, new Map());
        folders.get(folder).set(path.slice(slash + 1), entry);
      }
    }
    for (const [name, inner] of folders) own.push({ name, mode: '040000', sha: this.tree(inner) });
    const key = ({ name, mode }) => Buffer.from(mode === '040000' ? `${name}/` : name);
    own.sort((a, b) => Buffer.compare(key(a), key(b)));
    const bytes = Buffer.concat(own.flatMap(({ name, mode, sha }) => [Buffer.from(`${mode.replace(/^0/, '')} ${name}\0`), Buffer.from(sha, 'hex')]));
    const sha = hash('tree', bytes);
    this.trees.set(sha, own);
    return sha;
  }

  flat(sha, prefix = '', out = new Map()) {
    for (const entry of this.trees.get(sha) ?? []) {
      if (entry.mode === '040000') this.flat(entry.sha, `${prefix}${entry.name}/`, out);
      else out.set(prefix + entry.name, { mode: entry.mode, sha: entry.sha });
    }
    return out;
  }

  store({ tree, parents, message, author, committer }) {
    const person = ({ name, email, date }) => `${name} <${email}> ${Math.floor(Date.parse(date) / 1000)} +0000`;
    const bytes = Buffer.from(`tree ${tree}\n${parents.map(parent => `parent ${parent}\n`).join('')}author ${person(author)}\ncommitter ${person(committer)}\n\n${message}`);
    const sha = hash('commit', bytes);
    this.commits.set(sha, { tree, parents, message, author, committer });
    return sha;
  }

  /** What others do: a commit with files {path: text} on a branch. */
  commit(name, branch, files, message = 'a change\n') {
    const { branches } = this.repositories.get(name);
    const parent = branches.get(branch) ?? branches.get(this.repositories.get(name).branch);
    const entries = parent ? this.flat(this.commits.get(parent).tree) : new Map();
    for (const [path, content] of Object.entries(files)) entries.set(path, { mode: '100644', sha: this.blob(Buffer.from(content)) });
    const who = { name: 'Somebody', email: 'somebody@example.org', date: '2026-01-01T00:00:00Z' };
    const sha = this.store({ tree: this.tree(entries), parents: parent ? [parent] : [], message, author: who, committer: who });
    branches.set(branch, sha);
    return sha;
  }

  answer({ method, path, query, headers, body, broken }) {
    if (!headers['user-agent']) return problem(403, 'Request forbidden by administrative rules. Please make sure your request has a User-Agent header');
    if (headers.authorization !== `Bearer ${this.token}`) return problem(401, 'Bad credentials');
    if (broken) return problem(400, 'Problems parsing JSON');
    const [, owner, name, rest = ''] = /^\/repos\/([^/]+)\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
    const repository = this.repositories.get(`${owner}/${name}`);
    if (!repository || repository.hidden) return missing();
    if (repository.archived && method !== 'GET') return problem(403, 'Repository was archived so is read-only.');
    const parts = rest.split('/').map(decodeURIComponent);
    const route = `${method} ${parts[0]}`;
    if (route === 'GET ') return { status: 200, body: this.showRepository(repository) };
    if (route === 'POST forks') return this.fork(repository);
    if (route === 'GET branches') return this.showBranch(repository, parts.slice(1).join('/'));
    if (parts[0] === 'git') return this.gitData(repository, method, parts[1], parts.slice(2).join('/'), body);
    if (parts[0] === 'pulls') return this.pullRequests(repository, method, parts.slice(1), query, body);
    if (parts[0] === 'issues') return this.issues(repository, method, parts.slice(1), body);
    return missing();
  }

  showRepository({ name, branch, push, archived, forking, parent }) {
    const [owner, short] = name.split('/');
    return { id: 1, full_name: name, name: short, owner: { login: owner }, default_branch: branch, archived, allow_forking: forking, fork: Boolean(parent), private: false,
      html_url: `https://github.com/${name}`, permissions: { admin: false, maintain: false, push, triage: false, pull: true } };
  }

  fork(repository) {
    if (!repository.forking) return problem(403, 'Forking is disabled');
    const name = `${this.user}/${repository.name.split('/')[1]}`;
    if (name !== repository.name && !this.repositories.has(name)) {
      const made = new Repository(name, { branch: repository.branch, files: null });
      made.parent = repository;
      made.readyAt = Date.now() + (this.forkDelayMs ?? 0);
      made.branches.set(repository.branch, repository.branches.get(repository.branch));
      this.repositories.set(name, made);
    }
    return { status: 202, body: this.showRepository(this.repositories.get(name)) };
  }

  showBranch({ branches }, branch) {
    const sha = branches.get(branch);
    if (!sha) return problem(404, 'Branch not found');
    const { tree, message, author, committer, parents } = this.commits.get(sha);
    return { status: 200, body: { name: branch, protected: false, commit: { sha, commit: { message, tree: { sha: tree }, author, committer }, parents: parents.map(parent => ({ sha: parent })) } } };
  }

  gitData(repository, method, what, rest, body) {
    const { branches } = repository;
    const show = (branch, sha) => ({ ref: `refs/heads/${branch}`, node_id: 'x', url: 'https://api.github.com/x', object: { type: 'commit', sha, url: 'https://api.github.com/x' } });
    if (method === 'GET' && what === 'ref') {
      const branch = rest.replace(/^heads\//, '');
      return branches.has(branch) ? { status: 200, body: show(branch, branches.get(branch)) } : missing();
    }
    if (method === 'GET' && what === 'matching-refs')
      return { status: 200, body: [...branches].filter(([branch]) => `heads/${branch}`.startsWith(rest)).map(([branch, sha]) => show(branch, sha)) };
    if (method === 'GET' && what === 'commits') {
      const commit = this.commits.get(rest);
      return commit ? { status: 200, body: { sha: rest, ...commit, tree: { sha: commit.tree }, parents: commit.parents.map(sha => ({ sha })) } } : missing();
    }
    if (method === 'GET' && what === 'trees') {
      const sha = this.commits.get(rest)?.tree ?? rest;
      return this.trees.has(sha) ? { status: 200, body: { sha, truncated: false, tree: this.trees.get(sha).map(entry => ({ path: entry.name, mode: entry.mode, type: entry.mode === '040000' ? 'tree' : 'blob', sha: entry.sha })) } } : missing();
    }
    if (!repository.push || repository.readyAt > Date.now()) return missing(); // what a token may not do is not there
    if (branches.size === 0) return problem(409, 'Git Repository is empty.');
    if (what === 'blobs') return { status: 201, body: { sha: this.blob(Buffer.from(body.content, body.encoding === 'base64' ? 'base64' : 'utf8')), url: 'https://api.github.com/x' } };
    if (what === 'trees') return this.makeTree(body);
    if (what === 'commits') return this.makeCommit(body);
    const branch = method === 'POST' ? body.ref.replace('refs/heads/', '') : rest.replace(/^heads\//, '');
    if (!this.commits.has(body.sha)) return problem(422, 'Object does not exist');
    if (method === 'POST' && branches.has(branch)) return problem(422, 'Reference already exists');
    if (method === 'PATCH' && !branches.has(branch)) return problem(422, 'Reference does not exist');
    if (method === 'PATCH' && !body.force && !this.descends(body.sha, branches.get(branch))) return problem(422, 'Update is not a fast forward');
    branches.set(branch, body.sha);
    return { status: method === 'POST' ? 201 : 200, body: show(branch, body.sha) };
  }

  descends(sha, from) {
    return sha === from || (this.commits.get(sha)?.parents ?? []).some(parent => this.descends(parent, from));
  }

  makeTree({ base_tree: base, tree }) {
    const entries = base ? this.flat(this.commits.get(base)?.tree ?? base) : new Map();
    for (const entry of tree) {
      if (entry.path.startsWith('/') || entry.path.split('/').some(part => !part || part === '.' || part === '..' || part.toLowerCase() === '.git')) return problem(422, 'tree.path contains a malformed path component');
      const sha = entry.sha ?? this.blob(Buffer.from(entry.content));
      if (!this.blobs.has(sha)) return problem(422, `tree.sha ${sha} is not a valid blob`);
      for (const there of [...entries.keys()]) if (there.startsWith(`${entry.path}/`) || entry.path.startsWith(`${there}/`)) entries.delete(there);
      entries.set(entry.path, { mode: entry.mode, sha });
    }
    return { status: 201, body: { sha: this.tree(entries), url: 'https://api.github.com/x', truncated: false, tree: [] } };
  }

  makeCommit({ message, tree, parents, author, committer = author }) {
    if (!this.trees.has(tree)) return problem(422, 'Tree SHA does not exist');
    if (parents.some(parent => !this.commits.has(parent))) return problem(422, 'Parent SHA does not exist or is not a commit object');
    const sha = this.store({ tree, parents, message, author, committer });
    return { status: 201, body: { sha, node_id: 'x', url: 'https://api.github.com/x', message, tree: { sha: tree, url: 'https://api.github.com/x' }, author, committer } };
  }

  showPull(repository, pull) {
    return { number: pull.number, state: pull.state, title: pull.title, body: pull.body, draft: pull.draft, merged_at: pull.merged ? '2026-01-01T00:00:00Z' : null, html_url: `https://github.com/${repository.name}/pull/${pull.number}`,
      head: { ref: pull.head.branch, label: `${pull.head.owner}:${pull.head.branch}`, sha: pull.head.sha, repo: { full_name: pull.head.repository } }, base: { ref: pull.base },
      labels: pull.labels.map(name => ({ name })), assignees: pull.assignees.map(login => ({ login })), requested_reviewers: pull.reviewers.map(login => ({ login })), requested_teams: pull.teams.map(slug => ({ slug })),
      user: { login: this.user } };
  }

  pullRequests(repository, method, [number, what], query, body) {
    const pull = repository.pulls.find(one => one.number === Number(number));
    if (number && !pull) return missing();
    if (what === 'requested_reviewers') {
      const strangers = (body.reviewers ?? []).filter(name => !this.people.includes(name));
      if (strangers.length > 0) return problem(422, 'Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the repository.');
      pull.reviewers.push(...body.reviewers ?? []);
      pull.teams.push(...body.team_reviewers ?? []);
      return { status: 201, body: this.showPull(repository, pull) };
    }
    if (what === 'reviews') return { status: 200, body: (pull.reviews ?? []).map((login, id) => ({ id, user: { login }, state: 'APPROVED' })) };
    if (pull && method === 'PATCH') {
      Object.assign(pull, Object.fromEntries(['title', 'body', 'state'].filter(key => body[key] !== undefined).map(key => [key, body[key]])));
      return { status: 200, body: this.showPull(repository, pull) };
    }
    if (pull) return { status: 200, body: this.showPull(repository, pull) };
    if (method === 'GET') {
      const matching = repository.pulls.filter(one => (!query.state || query.state === 'all' || one.state === query.state) && (!query.head || query.head === `${one.head.owner}:${one.head.branch}`) && (!query.base || query.base === one.base));
      return { status: 200, body: matching.map(one => this.showPull(repository, one)) };
    }
    const [owner, branch] = body.head.includes(':') ? body.head.split(':') : [repository.name.split('/')[0], body.head];
    const from = this.repositories.get(body.head_repo ? `${owner}/${body.head_repo}` : `${owner}/${repository.name.split('/')[1]}`);
    const invalid = errors => problem(422, 'Validation Failed', { errors });
    if (!from?.branches.has(branch)) return invalid([{ resource: 'PullRequest', field: 'head', code: 'invalid' }]);
    if (!repository.branches.has(body.base)) return invalid([{ resource: 'PullRequest', field: 'base', code: 'invalid' }]);
    if (from.branches.get(branch) === repository.branches.get(body.base)) return invalid([{ resource: 'PullRequest', code: 'custom', message: `No commits between ${body.base} and ${body.head}` }]);
    if (repository.pulls.some(one => one.state === 'open' && one.head.owner === owner && one.head.branch === branch && one.base === body.base))
      return invalid([{ resource: 'PullRequest', code: 'custom', message: `A pull request already exists for ${owner}:${branch}.` }]);
    const made = { number: repository.pulls.length + 1, state: 'open', title: body.title, body: body.body ?? null, draft: body.draft ?? false, base: body.base, head: { owner, branch, repository: from.name, sha: from.branches.get(branch) },
      labels: [], assignees: [], reviewers: [], teams: [] };
    repository.pulls.push(made);
    return { status: 201, body: this.showPull(repository, made) };
  }

  issues(repository, method, [number, what], body) {
    const pull = repository.pulls.find(one => one.number === Number(number));
    if (!pull) return missing();
    if (method !== 'GET' && !repository.push) return problem(403, 'Must have admin rights to Repository.');
    const labels = Array.isArray(body) ? body : body?.labels;
    if (what === 'labels') pull.labels = [...new Set([...pull.labels, ...labels])];
    else if (what === 'assignees') pull.assignees = [...new Set([...pull.assignees, ...body.assignees.filter(name => this.people.includes(name))])];
    else if (method === 'PATCH') {
      const strangers = (body.assignees ?? []).filter(name => !this.people.includes(name));
      if (strangers.length > 0) return problem(422, 'Validation Failed', { errors: [{ value: strangers, resource: 'Issue', field: 'assignees', code: 'invalid' }] });
      if (body.labels) pull.labels = [...body.labels];
      if (body.assignees) pull.assignees = [...body.assignees];
    }
    if (what === 'labels') return { status: 200, body: pull.labels.map(name => ({ name })) };
    return { status: what === 'assignees' ? 201 : 200, body: { ...this.showPull(repository, pull) } };
  }
}

export const startGitHub = (t, options) => new GitHub(t, options).start();
