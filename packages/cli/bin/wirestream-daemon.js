#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { daemonMain } from '../dist/daemonmain.js';

await daemonMain(process.argv.slice(2), fileURLToPath(import.meta.url));
