// GitLab and Gitea as far as export-pr speaks to them, over a real Git server: what they keep, refuse and answer. The tests hold the requests against those of
// the forges' own clients (npm @gitbeaker/rest, gitea-js).
import http from 'node:http';
import { afterwards } from './host.mjs';
import { git, GitServer } from './git.mjs';

class Forge {
  constructor(t, { token, users = [], labels = [] }) {
    Object.assign(this, { t, token, users, labels, requests: [], pulls: [], refuse: undefined });
    this.repositories = new GitServer(t);
  }

  /** refuse, where set: (request) => {status, headers, body}, or nothing. */
  async start() {
    const server = http.createServer((request, response) => {
      const chunks = [];
      request.on('data', chunk => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const url = new URL(request.url, 'http://forge');
        const seen = { method: request.method, path: url.pathname, query: Object.fromEntries(url.searchParams), body: text ? JSON.parse(text) : undefined, headers: request.headers };
        this.requests.push(seen);
        const { status, body, headers = {} } = this.refuse?.(seen) ?? (this.knows(request.headers) ? this.answer(seen) : { status: 401, body: { message: '401 Unauthorized' } });
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(JSON.stringify(body));
      });
    });
    await new Promise(done => server.listen(0, '127.0.0.1', done));
    afterwards(this.t, () => new Promise(done => { server.close(done); server.closeAllConnections?.(); }));
    await this.repositories.start({ users: { [this.gitUser]: this.token }, api: `http://127.0.0.1:${server.address().port}` });
    return this;
  }

  get url() { return this.repositories.url; }

  hasBranch(project, branch) {
    try { return Boolean(git(this.repositories.path(project), 'rev-parse', '--verify', '-q', `refs/heads/${branch}`)); } catch { return false; }
  }

  open(project, head, base) { return this.pulls.find(pull => pull.project === project && pull.head === head && (base === undefined || pull.base === base) && pull.state === 'open'); }
}

const missing = { status: 404, body: { message: '404 Project Not Found' } };

export class GitLab extends Forge {
  gitUser = 'x-access-token';

  knows(headers) { return headers['private-token'] === this.token; }

  show(pull) {
    return { id: 1000 + pull.number, iid: pull.number, title: pull.title, description: pull.description, state: pull.state === 'open' ? 'opened' : pull.state, source_branch: pull.head, target_branch: pull.base,
      labels: pull.labels, reviewers: pull.reviewers, assignees: pull.assignees, draft: pull.title.startsWith('Draft:'), web_url: `${this.url}/${pull.project}/-/merge_requests/${pull.number}` };
  }

  answer({ method, path, query, body }) {
    if (path === '/api/v4/users') return { status: 200, body: this.users.flatMap((username, id) => username === query.username ? [{ id: id + 1, username, state: 'active' }] : []) };
    const [, id, number] = /^\/api\/v4\/projects\/([^/]+)\/merge_requests(?:\/(\d+))?$/.exec(path) ?? [];
    const project = id && decodeURIComponent(id);
    if (!project || !this.projects.includes(project)) return missing;
    if (method === 'GET') return { status: 200, body: this.pulls.filter(pull => pull.project === project && pull.head === query.source_branch && pull.base === query.target_branch && (query.state !== 'opened' || pull.state === 'open')).map(pull => this.show(pull)) };
    if (method === 'PUT') {
      const pull = this.pulls.find(one => one.project === project && one.number === Number(number));
      Object.assign(pull, { title: body.title ?? pull.title, description: body.description ?? pull.description });
      return { status: 200, body: this.show(pull) };
    }
    const lacking = ['source_branch', 'target_branch', 'title'].find(name => !body[name]);
    if (lacking) return { status: 400, body: { error: `${lacking} is missing` } };
    if (!this.hasBranch(project, body.source_branch)) return { status: 422, body: { message: ['Source branch does not exist'] } };
    if (!this.hasBranch(project, body.target_branch)) return { status: 422, body: { message: ['Target branch does not exist'] } };
    const there = this.open(project, body.source_branch, body.target_branch);
    if (there) return { status: 409, body: { message: [`Another open merge request already exists for this source branch: !${there.number}`] } };
    const pull = { project, number: this.pulls.length + 1, state: 'open', head: body.source_branch, base: body.target_branch, title: body.title, description: body.description ?? null,
      labels: Array.isArray(body.labels) ? body.labels : body.labels?.split(',') ?? [], reviewers: body.reviewer_ids ?? [], assignees: body.assignee_ids ?? [] };
    this.pulls.push(pull);
    return { status: 201, body: this.show(pull) };
  }
}

export class Gitea extends Forge {
  gitUser = 'x-access-token';

  knows(headers) { return headers.authorization?.replace(/^(token|bearer) /i, '') === this.token; }

  show(pull) {
    return { id: 1000 + pull.number, number: pull.number, title: pull.title, body: pull.body, state: pull.state, head: { ref: pull.head }, base: { ref: pull.base }, labels: pull.labels, assignees: pull.assignees,
      html_url: `${this.url}/${pull.project}/pulls/${pull.number}` };
  }

  answer({ method, path, body }) {
    const [, project, rest] = /^\/api\/v1\/repos\/([^/]+\/[^/]+)\/(.*)$/.exec(path) ?? [];
    if (!project || !this.projects.includes(project)) return { status: 404, body: { message: 'GetRepositoryByName' } };
    if (rest === 'labels') return { status: 200, body: this.labels.map((name, id) => ({ id: id + 1, name, color: '00aabb' })) };
    const [, number, asked] = /^pulls\/(\d+)(\/requested_reviewers)?$/.exec(rest) ?? [];
    const pull = this.pulls.find(one => one.project === project && one.number === Number(number));
    if (asked && method === 'POST') {
      if (body.reviewers?.some(name => !this.users.includes(name))) return { status: 404, body: { message: 'user does not exist' } };
      pull.reviewers = body.reviewers;
      return { status: 201, body: [] };
    }
    if (pull && method === 'PATCH') {
      Object.assign(pull, { title: body.title ?? pull.title, body: body.body ?? pull.body });
      return { status: 201, body: this.show(pull) };
    }
    const [, base, head] = /^pulls\/([^/]+)\/(.+)$/.exec(rest) ?? [];
    if (base && method === 'GET') {
      const there = this.open(project, decodeURIComponent(head), decodeURIComponent(base));
      return there ? { status: 200, body: this.show(there) } : { status: 404, body: { message: 'pull request does not exist' } };
    }
    if (rest !== 'pulls' || method !== 'POST') return { status: 405, body: {} };
    if (!this.hasBranch(project, body.head) || !this.hasBranch(project, body.base)) return { status: 404, body: { message: 'the branch does not exist' } };
    if (this.open(project, body.head, body.base)) return { status: 409, body: { message: 'pull request already exists for these targets' } };
    if (body.labels?.some(id => !Number.isInteger(id))) return { status: 422, body: { message: 'labels are ids' } };
    const made = { project, number: this.pulls.length + 1, state: 'open', head: body.head, base: body.base, title: body.title, body: body.body, labels: (body.labels ?? []).map(id => this.labels[id - 1]), assignees: body.assignees ?? [] };
    this.pulls.push(made);
    return { status: 201, body: this.show(made) };
  }
}

/** projects: {path: options of GitServer.make()}. */
export async function startForge(t, Kind, { projects, ...options }) {
  const forge = new Kind(t, options);
  forge.projects = Object.keys(projects);
  await forge.start();
  for (const [path, made] of Object.entries(projects)) forge.repositories.make(path, made);
  return forge;
}
