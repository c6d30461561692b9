// A stand-in for CodeSandbox. What it takes is judged by code that CodeSandbox published: a request with a key by the TypeScript types of
// npm @codesandbox/sdk, which are made of their OpenAPI document; what the define API takes by createSandbox() of npm codesandbox-import-utils,
// which their own importer runs.
import { spawn } from 'node:child_process';
import http from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { afterwards, exportd, ownEnvironment, patience, source } from './host.mjs';

const require = createRequire(import.meta.url);
const lzString = require('lz-string'); // what codesandbox-import-utils compresses with
const { default: createSandbox } = require('codesandbox-import-utils/lib/create-sandbox');
export const { getParameters } = require('codesandbox-import-utils/lib/api/define');

const types = join(source, 'tests/node_modules/@codesandbox/sdk/dist/esm/client/types.gen');

/** What TypeScript finds wrong when the body is taken for a SandboxCreateRequest of @codesandbox/sdk. */
export function typeProblems(body) {
  const name = '/request.ts';
  const text = `import type { SandboxCreateRequest } from ${JSON.stringify(types)};\nexport const request: SandboxCreateRequest = ${JSON.stringify(body)};\n`;
  const options = { noEmit: true, strict: true, skipLibCheck: true, types: [], lib: ['lib.es2020.d.ts', 'lib.dom.d.ts'], moduleResolution: ts.ModuleResolutionKind.Node10, module: ts.ModuleKind.ESNext };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (path, ...rest) => path === name ? ts.createSourceFile(path, text, ...rest) : getSourceFile.call(host, path, ...rest);
  host.fileExists = path => path === name || fileExists.call(host, path);
  host.readFile = path => path === name ? text : readFile.call(host, path);
  const program = ts.createProgram([name], options, host);
  const file = program.getSourceFile(name);
  return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(problem => ts.flattenDiagnosticMessageText(problem.messageText, '\n'));
}

/** What getParameters() of codesandbox-import-utils made, as it was before. */
export const decodeParameters = parameters => lzString.decompressFromBase64(parameters.replaceAll('-', '+').replaceAll('_', '/'));

/** The sandbox that CodeSandbox' importer makes of files: their paths and contents, and folders. */
export async function imported(files) {
  const silent = console.log;
  console.log = () => {}; // createSandbox() says which template it found
  let sandbox;
  try { sandbox = await createSandbox(Object.fromEntries(Object.entries(files).map(([path, file]) => [path, { ...file, type: 'file' }]))); }
  finally { console.log = silent; }
  const folders = new Map(sandbox.directories.map(folder => [folder.shortid, folder]));
  const pathOf = entry => entry.directoryShortid ? `${pathOf(folders.get(entry.directoryShortid))}/${entry.title}` : entry.title;
  return Object.fromEntries(sandbox.modules.map(module => [pathOf(module), module.code]));
}

/** key: the one that it knows. answer(request): {status, headers, body} instead of its own, 'hang' (kept, but never answered), or nothing. */
export async function startCodeSandbox(t, { key = 'csb_v1_test', answer } = {}) {
  const requests = [];
  const sandboxes = [];
  const held = new Set();
  const idOf = () => `sb${sandboxes.length + 1}x`;
  const reply = (response, status, body, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  const list = (request, response) => {
    const tags = (request.query.get('tags') ?? '').split(',').filter(Boolean);
    const found = sandboxes.filter(sandbox => sandbox.body?.tags && tags.every(tag => sandbox.body.tags.includes(tag)));
    const shown = found.map(({ id, body }) => ({ id, title: body.title ?? null, description: body.description ?? null, tags: body.tags, privacy: body.privacy, is_frozen: false, settings: {}, created_at: '2026-01-01T00:00:00Z', updated_at: '2026-01-01T00:00:00Z' }));
    reply(response, 200, { success: true, errors: [], data: { sandboxes: shown, pagination: { current_page: 1, next_page: null, total_records: shown.length } } });
  };
  const create = (request, response, silent) => {
    const { json } = request;
    if (typeof json?.files !== 'object' || (json.title ?? '').length > 255 || ![0, 1, 2].includes(json.privacy ?? 0)) return reply(response, 422, { success: false, errors: ['the body is no SandboxCreateRequest'] });
    const id = idOf();
    sandboxes.push({ id, body: json });
    if (silent) return held.add(response);
    return reply(response, 201, { success: true, errors: [], data: { id, alias: `alias-${id}`, title: json.title ?? null } });
  };
  const define = (request, response, silent) => {
    const id = idOf();
    sandboxes.push({ id, files: request.json.files });
    if (silent) return held.add(response);
    return reply(response, 200, { sandbox_id: id });
  };
  const server = http.createServer((incoming, response) => {
    const chunks = [];
    incoming.on('data', chunk => chunks.push(chunk));
    incoming.on('end', () => {
      const url = new URL(incoming.url, 'http://localhost');
      const body = Buffer.concat(chunks).toString();
      const request = { method: incoming.method, url: incoming.url, path: url.pathname, query: url.searchParams, headers: incoming.headers, body, at: Date.now() };
      try { request.json = JSON.parse(body); } catch { /* not JSON */ }
      requests.push(request);
      const own = answer?.(request, requests.length);
      if (own && own !== 'hang') return reply(response, own.status, own.body ?? '', own.headers);
      if (request.path === '/sandbox' && incoming.headers.authorization !== `Bearer ${key}`) return reply(response, 401, { success: false, errors: ['Unauthorized'] });
      if (request.path === '/sandbox' && request.method === 'GET') return list(request, response);
      if (request.path === '/sandbox' && request.method === 'POST') return create(request, response, own === 'hang');
      if (request.path === '/api/v1/sandboxes/define' && request.method === 'POST') return define(request, response, own === 'hang');
      return reply(response, 404, { errors: ['not found'] });
    });
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  afterwards(t, () => new Promise(done => { server.close(done); server.closeAllConnections(); }));
  return { url: `http://127.0.0.1:${server.address().port}`, requests, sandboxes, key };
}

/** Runs exportd while this process goes on serving. CSB_API_KEY is only what env gives. */
export function runBeside(args, { env = {} } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(exportd, args, { env: { ...ownEnvironment(), CSB_API_KEY: undefined, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: 2 * patience });
    let stdout = '', stderr = '';
    child.stdout.on('data', chunk => { stdout += chunk; });
    child.stderr.on('data', chunk => { stderr += chunk; });
    child.once('error', fail);
    child.once('close', (code, signal) => done({ code, signal, stdout, stderr }));
  });
}
