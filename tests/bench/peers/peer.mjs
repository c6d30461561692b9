// A no-op job in another job queue, in a process of its own: peer.mjs NAME work|enqueue|single ADDRESS SETTINGS. Talks with the bench over node's
// channel: it says {ready}, enqueues on {enqueue: COUNT} and says {enqueued}, says {completed: SUM} as jobs are done, and {took: [ms, …]} for jobs one by one.
const [name, role, address, text] = process.argv.slice(2);
const settings = JSON.parse(text);

/** One at a time per caller: each waits for the answer of its enqueue before it makes the next one. */
async function callers(count, total, enqueue) {
  let next = 0;
  await Promise.all(Array.from({ length: count }, async () => { while (next++ < total) await enqueue(); }));
}

const peers = {
  async 'graphile-worker'() {
    const { run, makeWorkerUtils, Logger } = await import('graphile-worker');
    const quiet = new Logger(() => () => {});
    const utils = await makeWorkerUtils({ connectionString: address, maxPoolSize: settings.connections, logger: quiet });
    await utils.migrate();
    return {
      enqueue: () => utils.addJob('noop', {}),
      async work(completed) {
        const runner = await run({
          preset: { worker: { connectionString: address, ...settings.worker, logger: quiet } },
          crontab: '', noHandleSignals: true, taskList: { noop() {} },
        });
        runner.events.on('job:complete', () => completed(1)); // it is in the database
      },
    };
  },

  async 'pg-boss'() {
    const { PgBoss } = await import('pg-boss');
    const boss = new PgBoss({ connectionString: address, max: settings.connections, ...settings.boss });
    boss.on('error', error => { console.error(error); process.exit(1); });
    await boss.start();
    if (!await boss.getQueue('noop')) await boss.createQueue('noop', settings.queue);
    return {
      enqueue: () => boss.send('noop', {}),
      async work(completed) {
        // It has no event for the end of a batch, which it writes when the handler is done: so this is a little early, in its favour.
        await boss.work('noop', settings.work, async jobs => { completed(jobs.length); });
      },
    };
  },

  async bullmq() {
    const { Queue, Worker } = await import('bullmq');
    const connection = { host: '127.0.0.1', port: Number(address), maxRetriesPerRequest: null };
    const queue = new Queue('noop', { connection, defaultJobOptions: settings.job });
    await queue.waitUntilReady();
    return {
      enqueue: () => queue.add('noop', {}),
      async work(completed) {
        const worker = new Worker('noop', async () => {}, { connection, ...settings.worker });
        worker.on('completed', () => completed(1)); // it is in Redis
        worker.on('error', error => { console.error(error); process.exit(1); });
        await worker.waitUntilReady();
      },
    };
  },
};

process.on('disconnect', () => process.exit(0)); // the bench has ended
const peer = await peers[name]();
const enqueueAll = async message => {
  await callers(settings.callers, message.enqueue, peer.enqueue);
  process.send({ enqueued: message.enqueue });
};

if (role === 'work') {
  let sum = 0, said = 0;
  await peer.work(count => { sum += count; });
  setInterval(() => { if (sum > said) process.send({ completed: said = sum }); }, 5);
} else if (role === 'enqueue') {
  process.on('message', enqueueAll);
} else {
  let done;
  await peer.work(() => done?.());
  process.on('message', async message => {
    const took = [];
    for (let i = 0; i < message.single; i++) {
      const over = new Promise(resolve => { done = resolve; });
      const began = performance.now();
      await peer.enqueue();
      await over;
      took.push(performance.now() - began);
    }
    process.send({ took });
  });
}
process.send({ ready: true });
